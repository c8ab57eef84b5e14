"""SERVICES_FILE: what a person writes arrives, and what is wrong is told by its place, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config import load_settings
from consumers.python_services import addresses
from consumers.python_services.config import ServicesSettings
from consumers.python_services.handler import PythonServicesHandler
from consumers.python_services.registry import HttpSpec, PythonSpec, Registry
from consumers.python_services.registry_file import UnreadableError, read_document, read_registry
from consumers.python_services.tracker import PythonServicesTracker
from core.errors import NotConfiguredError, PermanentError
from settings.errors import SettingsError, ValueProblem
from tests.systems.python_services.support import mistakes, python, registry_file, settings_for

HTTP: dict[str, Any] = {"kind": "http", "topics": ["echo"], "url": "https://svc.example.ru/jobs"}
CALL: dict[str, Any] = {"kind": "python", "topics": ["call"], "callable": "tests.support.services_callables:echo"}
TOKEN = "correct-horse-battery"


def load(folder: Path, text: str, ending: str = ".toml", **environ: str) -> ServicesSettings:
    path = folder / f"services{ending}"
    path.write_text(text, "utf-8")
    return load_settings({"SERVICES_FILE": str(path), **environ}, None, [ServicesSettings]).for_system(ServicesSettings)


# -- what is right -------------------------------------------------------------------------------------------------

TOML = """
[services.yandex-disk]
kind = "http"
topics = ["create_yandex_file", "yandex_*"]
url = "https://svc.example.ru/api/jobs/{folder}"
auth = {type = "bearer", token_env = "YANDEX_SVC_TOKEN"}
timeout = {connect = 5, read = 30}
headers = {X-Source = "camunda"}
poll = {status = "$.job.status", done = ["ok"], min = 1, max = 60, deadline = 3600}
bpmn_errors = {422 = "VALIDATION_ERROR"}
status_hosts = ["Jobs.example.ru:8443"]

[services.reports]
kind = "python"
topics = ["data_processing"]
callable = "tests.support.services_callables:echo"
timeout = 600
idempotent = true
"""


@pytest.mark.parametrize("ending", [".toml", ".yaml", ".yml"])
def test_toml_and_yaml_say_the_same(ending: str, tmp_path: Path) -> None:
    toml = tmp_path / "x.toml"
    toml.write_text(TOML)
    text = TOML if ending == ".toml" else yaml.safe_dump(json.loads(json.dumps(read_document(toml))))
    registry = load(tmp_path, text, ending, YANDEX_SVC_TOKEN=TOKEN).registry()
    yandex, reports = registry.services["yandex-disk"], registry.services["reports"]
    assert isinstance(yandex, HttpSpec)
    assert isinstance(reports, PythonSpec)
    assert (yandex.poll.done, yandex.poll.failed, yandex.poll.max) == (["ok"], ["failed", "cancelled"], 60)
    assert (yandex.bpmn_errors, yandex.status_hosts) == ({422: "VALIDATION_ERROR"}, ["jobs.example.ru:8443"])
    assert (reports.timeout, reports.idempotent) == (600, True)


def test_no_file_means_that_the_system_is_not_in_use() -> None:
    settings = load_settings({}, None, [ServicesSettings]).for_system(ServicesSettings)
    for cls in (PythonServicesHandler, PythonServicesTracker):
        with pytest.raises(NotConfiguredError):
            cls(settings, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topic", "owner"),
    [
        ("send_email", "exact"),
        ("send_sms", "short"),
        ("send_email_copy", "long"),
        ("send_", "short"),
        ("SEND_EMAIL", None),
        ("other", None),
    ],
)
def test_the_exact_topic_wins_and_then_the_longest_pattern(topic: str, owner: str | None) -> None:
    services = {
        "short": HttpSpec(**{**HTTP, "topics": ["send_*"]}),
        "long": HttpSpec(**{**HTTP, "topics": ["send_email*"]}),
        "exact": HttpSpec(**{**HTTP, "topics": ["send_email"]}),
    }
    assert Registry(services).service_of(topic) == owner


def test_a_callable_is_not_idempotent_unless_the_file_says_so() -> None:
    assert PythonSpec(**CALL).idempotent is False


# -- what is wrong -------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str, str, str]] = [
    # changes of the entry, place, what is told in Russian, hint
    ({"kind": "soap"}, "kind", "не http и не python", 'kind = "http"'),
    ({"kind": ["http"]}, "kind", "не http и не python", 'kind = "http"'),
    ({"topics": []}, "topics", "слишком мало", "значения"),
    ({"topics": "echo"}, "topics", "не список", "значения"),
    ({"topics": ["a b"]}, "topics.0", "не топик", "yandex_*"),
    ({"topics": [7]}, "topics.0", "не текст", ""),
    ({"url": "ftp://host/"}, "url", "не адрес", "{folder}"),
    ({"url": "https://user:pass@host/"}, "url", "не адрес", "без имени и пароля"),
    ({"url": "https://{host}/jobs"}, "url", "не адрес", "после имени узла"),
    ({"url": "https://host:{port}/"}, "url", "не адрес", "после имени узла"),
    ({"url": "https://host/{a b}"}, "url", "не адрес", "{folder}"),
    ({"url": "https://host/#x"}, "url", "не адрес", ""),
    ({"url": "https://host:99999/"}, "url", "не адрес", ""),
    ({"url": "http://169.254.169.254/latest"}, "url", "169.254.0.0/16", "другой адрес"),
    ({"url": "http://2852039166/latest"}, "url", "169.254.0.0/16", "другой адрес"),
    ({"url": "http://[::ffff:a9fe:a9fe]/"}, "url", "169.254.0.0/16", "другой адрес"),
    ({"url": "https://host/x?token=abc"}, "url", "содержит секрет", "auth"),
    ({"auth": {"type": "header", "header": "Host", "value_env": "A"}}, "auth", "не заголовок", "X-API-Key"),
    ({"method": "GET"}, "method", "нет среди допустимых", "POST, PUT"),
    ({"headers": {"X-Source": "а"}}, "headers", "не допускает", "ASCII"),
    ({"headers": {"X Source": "a"}}, "headers", "не допускает", "ASCII"),
    ({"headers": {"X-Source": "a\r\nX: y"}}, "headers", "не допускает", "ASCII"),
    ({"headers": {"Idempotency-Key": "1"}}, "headers", "задаёт сам воркер", "уберите"),
    ({"headers": {"Authorization": "Bearer x"}}, "headers", "содержит секрет", "value_env"),
    ({"headers": {"X-API-Key": TOKEN}}, "headers", "содержит секрет", "value_env"),
    ({"auth": {"type": "bearer"}}, "auth", "другие ключи", "token_env"),
    ({"auth": {"type": "basic", "username": "u"}}, "auth", "другие ключи", "password_env, username"),
    ({"auth": {"type": "basic", "username": "a:b", "password_env": "A"}}, "auth", "двоеточие", "имя"),
    ({"auth": {"type": "none", "token_env": "A"}}, "auth", "другие ключи", ""),
    ({"auth": {"type": "digest"}}, "auth.type", "нет среди допустимых", "hmac"),
    ({"auth": {"type": "bearer", "token": TOKEN}}, "auth.token", "неизвестный ключ", "token_env"),
    ({"auth": {"type": "bearer", "token_env": "my token!"}}, "auth.token_env", "не имя переменной", "MY_TOKEN"),
    ({"auth": {"type": "bearer", "token_env": "NOT_THERE"}}, "auth.token_env", "не задана", "NOT_THERE_FILE"),
    ({"auth": {"type": "hmac", "secret_env": "A_SECRET"}}, "auth.secret_env", "не ключ подписи", "whsec_"),
    ({"auth": {"type": "bearer", "token_env": "CYRILLIC"}}, "auth.token_env", "не передать в заголовке", "ASCII"),
    ({"timeout": {"read": 0}}, "timeout.read", "больше 0", "число"),
    ({"timeout": {"read": "soon"}}, "timeout.read", "не число", "число"),
    ({"timeout": 30}, "timeout", "не объект", ""),
    ({"poll": {"min": 100, "max": 10}}, "poll", "не по порядку", "min <= max"),
    ({"poll": {"max": 100, "deadline": 10}}, "poll", "не по порядку", "deadline"),
    ({"poll": {"status": "status"}}, "poll.status", "не путь", "$.job.status"),
    ({"poll": {"status": "$..x"}}, "poll.status", "не путь", "$.job.status"),
    ({"bpmn_errors": {200: "X"}}, "bpmn_errors.200", "не меньше 400", ""),
    ({"bpmn_errors": {422: ""}}, "bpmn_errors.422", "не код", ""),
    ({"status_hosts": ["https://host"]}, "status_hosts.0", "не имя узла", "host:port"),
    ({"status_hosts": ["169.254.169.254"]}, "status_hosts.0", "не имя узла", ""),
    ({"status_hosts": ["169.254.169.254:80"]}, "status_hosts.0", "не имя узла", ""),
    ({"ca_file": "nowhere.pem"}, "ca_file", "такого файла нет", "существующему"),
    ({"at_once": 0}, "at_once", "не меньше 1", "целое число"),
    ({"tipo": 1}, "tipo", "неизвестный ключ", "topics"),
]


@pytest.mark.parametrize(("changes", "place", "problem", "hint"), WRONG)
def test_every_mistake_is_told_by_its_place(
    changes: dict[str, Any], place: str, problem: str, hint: str, tmp_path: Path
) -> None:
    secrets = {"A_SECRET": "!", "CYRILLIC": "секрет-секрет"}
    told = mistakes(tmp_path, {"yandex-disk": {**HTTP, **changes}}, secrets=secrets)
    [mistake] = told
    assert mistake.variable == "SERVICES_FILE"
    assert mistake.problem.ru.startswith(f"services.yandex-disk.{place} – ")
    assert problem in mistake.problem.ru
    assert hint in mistake.hint.ru
    assert mistake.problem.en.startswith(f"services.yandex-disk.{place} – ")
    assert not re.search("[а-яА-Я]", mistake.problem.en + mistake.hint.en)
    assert TOKEN not in mistake.render("en") + mistake.render("ru")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("no.such.module:f", "No module named"),
        ("tests.support.services_callables:absent", "no attribute 'absent'"),
        ("tests.support.services_callables:not_callable", "not callable"),
        ("tests.services_broken:f", "ZeroDivisionError"),
        ("tests.services_leaving:f", "exit code 9"),
    ],
)
def test_a_callable_that_cannot_be_imported_is_a_mistake(
    function: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tests_of_callables"
    package.mkdir()
    (package / "services_broken.py").write_text("1 / 0")
    (package / "services_leaving.py").write_text("import os\nos._exit(9)")
    monkeypatch.syspath_prepend(str(package))
    function = function.replace("tests.services_broken", "services_broken")
    function = function.replace("tests.services_leaving", "services_leaving")
    [mistake] = mistakes(tmp_path, {"reports": python(function)})
    assert mistake.problem.en.startswith(f"services.reports.callable – {function} cannot be used")
    assert reason in mistake.problem.en


def test_an_import_that_hangs_is_a_mistake_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services_hanging.py").write_text("import time\ntime.sleep(1000)")
    monkeypatch.syspath_prepend(str(tmp_path))
    [mistake] = mistakes(tmp_path, {"reports": python("services_hanging:f")}, import_timeout=0.5)
    assert "did not answer within 0.5 s" in mistake.problem.en


@pytest.mark.parametrize("function", ["os", "os:", ":f", "os.path.join", "os:path.join", "../x:f", "os:f;g"])
def test_what_is_no_name_of_a_function_is_not_even_imported(function: str, tmp_path: Path) -> None:
    [mistake] = mistakes(tmp_path, {"reports": python(function)})
    assert mistake.problem.en == "services.reports.callable – is not the name of a function"


def test_all_mistakes_of_all_services_are_told_at_once(tmp_path: Path) -> None:
    services = {
        "один": HTTP,
        "two": {**HTTP, "url": "x", "method": "GET", "more": 1},
        "three": {"topics": ["x"]},
        "four": 7,
    }
    places = {each.problem.en.partition(" – ")[0] for each in mistakes(tmp_path, services)}
    wanted = {"services.один", "services.two.url", "services.two.method", "services.two.more"}
    assert places == wanted | {"services.three.kind", "services.four.kind"}


@pytest.mark.parametrize("topic", ["echo", "yandex_*"])
def test_the_same_topic_in_two_services_is_a_mistake(topic: str, tmp_path: Path) -> None:
    entry = {**HTTP, "topics": [topic]}
    [mistake] = mistakes(tmp_path, {"one": entry, "other": entry})
    assert mistake.problem.en == f"services.other.topics – '{topic}' belongs to one already"


@pytest.mark.parametrize(
    ("text", "ending", "part"),
    [
        ("[services\nx", ".toml", "at line 1, column 10"),
        ("a: [", ".yaml", "line 1"),
        ("services: {}\nservices: {}", ".yaml", "twice"),
        ("services:\n  a: {kind: http}\n  a: {kind: python}", ".yaml", "twice"),
        ("[1]", ".yaml", "services"),
        ("", ".toml", "services"),
        ("x = 1\n[services.a]", ".toml", "services"),
        ("services = 1", ".toml", "services"),
        ("{}", ".json", "neither TOML nor YAML"),
        ("services: !!python/object/apply:os.system [echo]", ".yaml", "broken"),
    ],
)
def test_a_file_that_is_none_is_explained(text: str, ending: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, ending)
    [mistake] = caught.value.mistakes
    assert part in mistake.problem.en + mistake.hint.en


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "folder"])
def test_a_file_that_cannot_be_read_is_explained(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({"SERVICES_FILE": str(path)}, None, [ServicesSettings])


def test_a_broken_file_shows_nothing_of_its_lines(tmp_path: Path) -> None:
    for text, ending in ((f"token = {TOKEN}", ".toml"), (f"token: [{TOKEN}", ".yaml")):
        with pytest.raises(SettingsError) as caught:
            load(tmp_path, text, ending)
        assert TOKEN not in caught.value.render("ru")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [*HttpSpec.model_fields, "callable", "idempotent"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4), st.sampled_from([HTTP, {**CALL, "callable": "x"}]))
def test_any_values_are_taken_or_explained(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any], entry: dict[str, Any]
) -> None:
    path = registry_file(tmp_path_factory.getbasetemp(), {"a": {**entry, **changes}})
    _, problems = read_registry(path, {})
    assert all(each.problem.ru and each.hint.ru and each.path.startswith("services.a") for each in problems)


@given(st.text())
def test_any_text_is_a_file_or_explained(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    for ending in (".toml", ".yaml"):
        path = tmp_path_factory.getbasetemp() / f"any{ending}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            read_registry(path, {})
        except UnreadableError as error:
            assert error.problem.ru  # noqa: PT017  # either outcome is right


# -- secrets -------------------------------------------------------------------------------------------------------


def test_a_secret_may_lie_in_the_environment_in_env_or_in_a_file_and_is_masked(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    env_file = tmp_path / ".env"
    path = registry_file(tmp_path, {"a": {**HTTP, "auth": {"type": "bearer", "token_env": "A_TOKEN"}}})
    for line in (f"A_TOKEN={TOKEN}", f"A_TOKEN_FILE={tmp_path / 'token'}"):
        env_file.write_text(f"SERVICES_FILE={path}\n{line}\n")
        env_file.chmod(0o600)
        settings = load_settings({}, env_file, [ServicesSettings])
        assert TOKEN in set(settings.secret_values())
        assert settings.warnings == (), "its name is known"
        assert TOKEN not in repr(settings)


def test_a_secret_given_twice_or_too_short_is_told_as_for_every_other_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    entry = {**HTTP, "auth": {"type": "bearer", "token_env": "A_TOKEN"}}
    both = {"A_TOKEN": TOKEN, "A_TOKEN_FILE": str(tmp_path / "token")}
    assert [each.variable for each in mistakes(tmp_path, {"a": entry}, secrets=both)] == ["A_TOKEN_FILE"]
    path = registry_file(tmp_path, {"a": entry})
    settings = load_settings({"SERVICES_FILE": str(path), "A_TOKEN": "abc"}, None, [ServicesSettings])
    assert [each.variable for each in settings.warnings] == ["A_TOKEN"]


def test_a_secret_over_plain_http_is_mentioned(tmp_path: Path) -> None:
    auth = {"auth": {"type": "bearer", "token_env": "A_TOKEN"}}
    for url, is_told in (
        ("http://svc.example.ru/", True),
        ("https://svc.example.ru/", False),
        ("http://[::1]/", False),
    ):
        path = registry_file(tmp_path, {"a": {**HTTP, **auth, "url": url}})
        settings = load_settings({"SERVICES_FILE": str(path), "A_TOKEN": TOKEN}, None, [ServicesSettings])
        assert bool(settings.warnings) is is_told


# -- addresses -----------------------------------------------------------------------------------------------------


@given(st.text(min_size=1))
def test_a_value_stays_one_part_of_the_address_whatever_it_holds(value: str) -> None:
    try:
        url = addresses.filled("https://svc.example.ru/jobs/{folder}/x?q={folder}", {"folder": value}.get)
    except PermanentError as error:
        assert "folder" in error.reason  # noqa: PT017  # either outcome is right
        return
    assert re.fullmatch(r"https://svc\.example\.ru/jobs/[^/?#\s]+/x\?q=[^&/?#\s]+", url)


@pytest.mark.parametrize("value", ["", "  ", None, [], "..", ".", " .. "])
def test_a_placeholder_without_a_usable_value_is_named(value: Any) -> None:
    with pytest.raises(PermanentError, match="folder"):
        addresses.filled("https://svc.example.ru/{folder}", {"folder": value}.get)


ASKED = "https://svc.example.ru/api/jobs?x=1"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/status/7", "https://svc.example.ru/status/7"),
        ("7/state?v=2", "https://svc.example.ru/api/7/state?v=2"),
        ("https://svc.example.ru:443/s", "https://svc.example.ru:443/s"),
        ("https://SVC.example.ru/s#part", "https://SVC.example.ru/s"),
        ("https://jobs.example.ru/s", "https://jobs.example.ru/s"),
        ("https://jobs.example.ru:8443/s", "https://jobs.example.ru:8443/s"),
        ("//jobs.example.ru/s", "https://jobs.example.ru/s"),
        ("https://[2001:db8::1]/s", "https://[2001:db8::1]/s"),
    ],
)
def test_a_status_address_may_be_relative_or_on_an_allowed_host(location: str, url: str) -> None:
    assert addresses.resolved(location, ASKED, ["jobs.example.ru", "[2001:db8::1]"]) == url


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example.com/s",
        "http://svc.example.ru/s",
        "https://svc.example.ru:444/s",
        "http://jobs.example.ru/s",
        "https://svc.example.ru@evil.example.com/s",
        "https://user@svc.example.ru/s",
        "https://svc.example.ru\\@evil.example.com/s",
        " https://evil.example.com/s",
        "https://svc.example.ru.evil.com/s",
        "//evil.example.com/s",
        "ftp://svc.example.ru/s",
        "https://169.254.169.254/s",
        "https://2852039166/s",
        "https://[fe80::1]/s",
        "https://[",
        "/s\r\nX: y",
    ],
)
def test_any_other_status_address_is_refused_and_its_host_named(location: str) -> None:
    with pytest.raises(PermanentError) as caught:
        addresses.resolved(location, ASKED, ["jobs.example.ru"])
    assert caught.value.code in {"status_host", "status_address"}
    if "evil.example.com" in location and "@" not in location:
        assert "evil.example.com" in caught.value.reason


def test_instance_metadata_is_refused_even_where_the_host_seems_allowed() -> None:
    for asked, hosts in (("http://169.254.169.254/jobs", []), ("http://svc.example.ru/", ["169.254.169.254"])):
        with pytest.raises(PermanentError):
            addresses.resolved("http://169.254.169.254/latest", asked, hosts)


@given(st.text())
def test_any_location_leads_to_an_allowed_host_or_is_refused(location: str) -> None:
    try:
        url = addresses.resolved(location, ASKED, [])
    except PermanentError:
        return
    assert url.lower().startswith("https://svc.example.ru")


@given(st.text())
def test_any_text_is_an_address_or_explained(text: str) -> None:
    for check in (addresses.checked_template, addresses.checked_host):
        try:
            check(text)
        except ValueProblem as problem:
            assert problem.hint.ru  # noqa: PT017  # either outcome is right


def test_settings_of_a_right_file_are_no_mistake(tmp_path: Path) -> None:
    assert set(settings_for(tmp_path, {"a": HTTP, "b": CALL}).registry().services) == {"a", "b"}
