"""Whatever a command says of a broken set-up, it says all of it in the reader's language and names the same variable.

Only the words of a server, of the operating system and of libraries are shown as they came.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import pytest
import trustme

from cli.bitrix import init_fields
from cli.config_check import check_configuration
from consumers.bitrix.roles import Roles
from consumers.email.client import SmtpClient
from consumers.email.rights import NoRightError, require_right_to_send
from core.errors import ConfigurationError, NotConfiguredError, PermanentError
from core.texts import Language, Text
from runtime.loader import LoadError, load_classes, make_handler
from sandbox.bitrix24 import BARE_USER_FIELDS, BitrixSandbox, OperatingLimit
from sandbox.bitrix24 import faults as bitrix_faults
from sandbox.bitrix24.errors import SYSTEM_ERRORS
from sandbox.email import EmailSandbox
from sandbox.email import faults as email_faults
from sandbox.faults import Fault, broken_json, delay, html, redirect, reset, trickle
from sandbox.onec import OneCSandbox
from sandbox.onec import faults as onec_faults
from sandbox.openproject import OpenProjectSandbox
from sandbox.openproject import faults as openproject_faults
from sandbox.telegram import TelegramSandbox
from sandbox.telegram import faults as telegram_faults
from tests.cli.test_config_check import web_server
from tests.support.answering_server import AnsweringServer, http_answer
from tests.support.email_server import MailServer
from tests.systems.email.support import settings_for
from tests.toolkit.test_certificates import tls_server
from tests.toolkit.test_proxies import proxy

Environ = dict[str, str]
LANGUAGES: tuple[Language, ...] = ("en", "ru")
_Thing = TypeVar("_Thing")

VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b")
CYRILLIC = re.compile("[а-яА-ЯёЁ]")
ENGLISH = re.compile(r"\b(?:the|is|are|of|not|no|cannot|does|did|has|with|its|it|check|give|set|for|in)\b")
# Commands, and names of theirs as they are written: of objects of 1C, of what is like one.
NAMES = re.compile(r"`[^`]*`|'[^']*'|\b[A-Z]\w+_[А-Яа-яЁё]\w+|(?:near it|похожие имена): .*")


class Broken(NamedTuple):
    """`words` must be told in both languages; `said` are words of others, which stay as they are."""

    environ: Environ
    words: Sequence[str] = ()
    said: Sequence[str] = ()


Case = Callable[["Stage"], Broken]


class Stage:
    """Where a set-up is built and broken; what has been entered is left at the end of the test."""

    def __init__(self, stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self.folder = folder
        self.monkeypatch = monkeypatch

    def enter(self, thing: AbstractContextManager[_Thing]) -> _Thing:
        return self._stack.enter_context(thing)

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ExitStack() as stack:
        yield Stage(stack, tmp_path, monkeypatch)


def told(environ: Mapping[str, str], lang: Language, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `config check --probe` finds wrong with the systems; RabbitMQ is not there."""
    state = {"STATE_DIR": str(folder), "RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1"}
    check_configuration({**state, **environ}, folder / ".env", lang, probe=True)
    shown = capsys.readouterr()
    assert not shown.err
    marks = ("NOT USABLE: ", "TO BE MENDED: ") if lang == "en" else ("НЕЛЬЗЯ ИСПОЛЬЗОВАТЬ: ", "ИСПРАВИТЬ: ")
    lines = [line for line in shown.out.splitlines() if not line.startswith("  RabbitMQ")]
    return "\n".join(line.partition(mark)[2] for line in lines for mark in marks if mark in line)


def assert_the_readers_own(texts: Mapping[Language, str], said: Sequence[str] = (), words: Sequence[str] = ()) -> None:
    """`said` is left out of account."""
    foreign = re.compile("|".join([*map(re.escape, said), NAMES.pattern]))
    own = {lang: foreign.sub("", text) for lang, text in texts.items()}
    assert own["en"].strip()
    assert "***" not in "".join(texts.values()), "a word of ours was taken for a secret"
    assert not CYRILLIC.search(own["en"]), texts["en"]
    for line in own["ru"].splitlines():
        assert CYRILLIC.search(line), line
        assert not ENGLISH.search(line), line
    assert len(own["en"].splitlines()) == len(own["ru"].splitlines())
    assert sorted(set(VARIABLE.findall(texts["en"]))) == sorted(set(VARIABLE.findall(texts["ru"]))), texts
    for word in words:
        assert word in texts["en"], texts["en"]
        assert word in texts["ru"], texts["ru"]


def assert_told_in_both(broken: Broken, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts: dict[Language, str] = {
        "en": told(broken.environ, "en", folder, capsys),
        "ru": told(broken.environ, "ru", folder, capsys),
    }
    assert_the_readers_own(texts, broken.said, broken.words)


# Words of others.
OPENSSL = (
    "no certificate or crl found",
    "certificate has expired",
    "certificate is not yet valid",
    "unable to get local issuer certificate",
    "Hostname mismatch, certificate is not valid for 'localhost'.",
)
YAML = ("expected '<document start>', but found '<scalar>' in",)
LOCKED = "Начало сеанса с информационной базой запрещено. Ведутся технические работы"
NO_AUTH = ("SMTP AUTH extension not supported by server.",)
NO_NAME = ("Name or service not known", "Temporary failure in name resolution")
PORTAL = tuple(description for _, description in SYSTEM_ERRORS.values())


# -- whatever a web server may answer, by system ----------------------------------------------------------------------

SYSTEMS: Mapping[str, Callable[[str], Environ]] = {
    "bitrix24": lambda url: {"BITRIX_WEBHOOK_URL": f"{url}/rest/1/abcdefgh12345678"},
    "openproject": lambda url: {"OPENPROJECT_URL": url, "OPENPROJECT_TOKEN": "opapi-0123456789"},
    "1c": lambda url: {"ONEC_URL": f"{url}/base", "ONEC_USERNAME": "worker", "ONEC_PASSWORD": "0123456789"},
    "telegram": lambda url: {"TELEGRAM_API_URL": url, "TELEGRAM_BOT_TOKEN": "1234567890:AAabcdefghijklmnopqrstuvwxyz"},
}
PREFIXES = {"bitrix24": "BITRIX", "openproject": "OPENPROJECT", "1c": "ONEC", "telegram": "TELEGRAM"}
ANY_SYSTEM = pytest.mark.parametrize("system", SYSTEMS)

ANSWERS: Mapping[str, bytes | None] = {
    **{str(status): http_answer(status, b"") for status in (400, 401, 403, 404, 405, 407, 408, 429, 500, 502, 503)},
    "none": None,
    "half": http_answer(200, b"{", {"Content-Length": "100"}),
    "a page": http_answer(200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
    "a list": http_answer(200, b"[]"),
    "nothing": http_answer(200, b""),
    "another object": http_answer(200, b'{"result": 1, "ok": true, "total": 1, "value": 1}'),
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "elsewhere": http_answer(302, b"", {"Location": "https://portal.example/login"}),
    "nowhere": http_answer(301, b""),
}


@ANY_SYSTEM
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_cannot_be_used(
    stage: Stage, system: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = stage.enter(AnsweringServer())
    server.answer = ANSWERS[answer]
    assert_told_in_both(Broken(SYSTEMS[system](server.address)), stage.folder, capsys)


@ANY_SYSTEM
class TestAnyWay:
    def test_nobody_listens(self, stage: Stage, system: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert_told_in_both(Broken(SYSTEMS[system]("http://127.0.0.1:1")), stage.folder, capsys)

    def test_a_name_that_nobody_has(self, stage: Stage, system: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert_told_in_both(Broken(SYSTEMS[system]("http://no-such-host.invalid")), stage.folder, capsys)

    @pytest.mark.parametrize("fault", ["expired", "not yet valid", "of another name", "unknown issuer"])
    def test_a_certificate_that_is_not_believed(
        self, stage: Stage, system: str, fault: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        port, ca_file = stage.enter(tls_server(fault, stage.folder))
        variable = f"{PREFIXES[system]}_CA_FILE"
        environ = {**SYSTEMS[system](f"https://localhost:{port}"), variable: str(ca_file)}
        words = [variable] if fault == "unknown issuer" else []
        assert_told_in_both(Broken(environ, words, OPENSSL), stage.folder, capsys)

    def test_no_tls_where_it_is_wanted(self, stage: Stage, system: str, capsys: pytest.CaptureFixture[str]) -> None:
        address = f"https://127.0.0.1:{stage.enter(web_server())}"
        assert_told_in_both(Broken(SYSTEMS[system](address)), stage.folder, capsys)

    def test_a_ca_file_that_holds_none(self, stage: Stage, system: str, capsys: pytest.CaptureFixture[str]) -> None:
        environ = {f"{PREFIXES[system]}_CA_FILE": stage.file("ca.pem", "none")}
        broken = Broken({**SYSTEMS[system]("https://127.0.0.1:1"), **environ})
        assert_told_in_both(broken, stage.folder, capsys)

    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
    def test_a_proxy_that_wants_a_password(
        self, stage: Stage, system: str, variable: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.monkeypatch.setenv(variable, stage.enter(proxy()))
        broken = Broken(SYSTEMS[system]("https://portal.example"), ["HTTPS_PROXY", "407"])
        assert_told_in_both(broken, stage.folder, capsys)

    @pytest.mark.parametrize("address", ["http://127.0.0.1:1", "socks5://127.0.0.1:1080"])
    def test_a_proxy_that_cannot_be_used(
        self, stage: Stage, system: str, address: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stage.monkeypatch.setenv("HTTPS_PROXY", address)
        broken = Broken(SYSTEMS[system]("https://portal.example"), ["HTTPS_PROXY"])
        assert_told_in_both(broken, stage.folder, capsys)

    def test_an_answer_that_does_not_come(self, stage: Stage, system: str, capsys: pytest.CaptureFixture[str]) -> None:
        silent = stage.enter(socket.create_server(("127.0.0.1", 0)))
        environ = {
            **SYSTEMS[system](f"http://127.0.0.1:{silent.getsockname()[1]}"),
            f"{PREFIXES[system]}_REQUEST_TIMEOUT": "0.2",
        }
        assert_told_in_both(Broken(environ), stage.folder, capsys)


# -- what only one system says ----------------------------------------------------------------------------------------


def bitrix(fault: Fault | None = None, call: str = "*", /, said: Sequence[str] = (), **changes: Any) -> Case:
    """`changes` in capitals are variables, the others are the portal's."""

    def build(stage: Stage) -> Broken:
        given = {name: value for name, value in changes.items() if not name.isupper()}
        portal = stage.enter(BitrixSandbox(**given))
        portal.create_task("Чужая задача")
        if fault is not None:
            portal.inject(fault, call, count=None)
        variables = {name: str(value) for name, value in changes.items() if name.isupper()}
        return Broken({"BITRIX_WEBHOOK_URL": portal.webhook_url, **variables}, said=said)

    return build


def bitrix_refuses(code: str, description: str | None = None, status: int | None = None) -> Case:
    told = [description] if description else [SYSTEM_ERRORS[code][1]]
    return bitrix(bitrix_faults.error(code, description, status=status), said=[*told, f"[{code}]"])


def openproject(fault: Fault, said: str = "") -> Case:
    def build(stage: Stage) -> Broken:
        server = stage.enter(OpenProjectSandbox())
        server.inject(fault, "*", count=None)
        return Broken({"OPENPROJECT_URL": server.url, "OPENPROJECT_TOKEN": server.token}, said=[said] if said else ())

    return build


def onec(fault: Fault | None = None, call: str = "*", *, said: str = "", mapping: str = "", timeout: str = "") -> Case:
    def build(stage: Stage) -> Broken:
        base = stage.enter(OneCSandbox())
        if fault is not None:
            base.inject(fault, call, count=None)
        environ = {"ONEC_URL": base.url, "ONEC_USERNAME": base.username, "ONEC_PASSWORD": base.password}
        if mapping:
            environ["ONEC_MAPPING_FILE"] = stage.file("mapping.toml", mapping)
        if timeout:
            environ |= {"ONEC_REQUEST_TIMEOUT": timeout, "ONEC_CONNECT_TIMEOUT": timeout}
        return Broken(environ, said=[said] if said else ())

    return build


def onec_field(line: str) -> Case:
    order = "Document_ЗаказКлиента"
    mapping = f'[topics.order]\nkind = "document"\nentity = "{order}"\n[topics.order.fields]\n{line}\n'

    def build(stage: Stage) -> Broken:
        broken = onec(mapping=mapping)(stage)
        return Broken(broken.environ, ["ONEC_MAPPING_FILE"], re.findall(r"[А-Яа-яЁё]{3,}", line))

    return build


def telegram(fault: Fault, said: str = "") -> Case:
    def build(stage: Stage) -> Broken:
        server = stage.enter(TelegramSandbox())
        server.inject(fault, "*", count=None)
        environ = {"TELEGRAM_BOT_TOKEN": server.token, "TELEGRAM_API_URL": server.base_url}
        return Broken(environ, said=[said] if said else ())

    return build


def mail(fault: Fault | None = None, call: str = "", /, said: Sequence[str] = (), **variables: str) -> Case:
    def build(stage: Stage) -> Broken:
        server = stage.enter(EmailSandbox())
        if fault is not None:
            server.inject(fault, call, count=None)
        return Broken({**mail_settings(server.port), **variables}, said=said)

    return build


def mail_settings(port: int) -> Environ:
    return {
        "EMAIL_SMTP_HOST": "localhost",
        "EMAIL_SMTP_PORT": str(port),
        "EMAIL_FROM": "worker@example.ru",
        "EMAIL_TLS": "none",
    }


CASES: Mapping[str, Case] = {
    # Bitrix24
    **{f"bitrix {code}": bitrix_refuses(code) for code in SYSTEM_ERRORS if code != "QUERY_LIMIT_EXCEEDED"},
    "bitrix refuses with its own words": bitrix_refuses("WRONG", "Что-то пошло не так", 400),
    "bitrix gives no reason": bitrix_refuses("WRONG", " ", 400),
    "bitrix may not read": bitrix_refuses("ACCESS_DENIED", "Нет доступа", 400),
    "bitrix fails inside a batch": bitrix(bitrix_faults.error("INTERNAL_SERVER_ERROR"), "tasks.task.list", said=PORTAL),
    "bitrix ends no answer": bitrix(trickle(), BITRIX_REQUEST_TIMEOUT=0.3, BITRIX_CONNECT_TIMEOUT=0.3),
    "bitrix drops everything": bitrix(reset()),
    "bitrix without the key field": bitrix(user_fields=BARE_USER_FIELDS),
    "bitrix with a key field of another type": bitrix(BITRIX_KEY_FIELD="UF_RESULT_EXPECTED"),
    "bitrix ignores the key": bitrix(honours_key_filter=False),
    "bitrix with a webhook of an employee": bitrix(admin=False),
    "bitrix without scopes": bitrix(scopes=["user"], said=PORTAL),
    "bitrix has no time left": bitrix(
        operating=OperatingLimit(seconds=0, costs={"tasks.task.list": 1.0, "task.item.userfield.getlist": 1.0}),
        BITRIX_OPERATING_LIMIT_SECONDS="0.0001",
    ),
    # OpenProject
    "openproject 401": openproject(openproject_faults.refusal(401, "Unauthenticated", "Wrong token"), "Wrong token"),
    "openproject 403": openproject(openproject_faults.refusal(403, "MissingPermission", "Нельзя"), "Нельзя"),
    "openproject 404": openproject(openproject_faults.refusal(404, "NotFound", "Not here"), "Not here"),
    "openproject 406": openproject(openproject_faults.refusal(406, "TypeNotSupported", "No such type"), "No such type"),
    "openproject half an answer": openproject(broken_json()),
    # 1C
    "1c 401": onec(onec_faults.odata(401, 20, "Нарушение прав доступа"), said="Нарушение прав доступа"),
    "1c 401 of the platform": onec(onec_faults.platform(401, "Не идентифицирован"), said="Не идентифицирован"),
    "1c 403": onec(onec_faults.odata(403, 20, "Нарушение прав доступа"), said="Нарушение прав доступа"),
    "1c is locked": onec(onec_faults.locked(), said=LOCKED),
    "1c has no licence": onec(onec_faults.no_licence(), said="Не обнаружено свободной лицензии!"),
    "1c shows a page": onec(onec_faults.application_error("Сервер не найден"), said="Сервер не найден"),
    "1c has hidden it": onec(onec_faults.odata(404, 8, "Сущность не найдена"), said="Сущность не найдена"),
    "1c takes no such method": onec(onec_faults.odata(405, 19, "Метод"), said="Метод"),
    "1c has no metadata": onec(html(), "GET $metadata"),
    "1c has moved": onec(redirect("/login")),
    "1c is slow": onec(delay(5), timeout="0.2"),
    "1c without the object": onec(
        mapping='[topics.order]\nkind = "document"\nentity = "Document_Нет"\nfields."A" = { from = "x" }\n'
    ),
    "1c without the attribute": onec_field('"Инн" = { from = "other" }'),
    "1c with a type for what has one": onec_field('"Статус" = { from = "x", type = "Edm.String" }'),
    "1c with a type for a reference": onec_field('"Контрагент" = { from = "x", type = "Edm.String" }'),
    "1c with a type that needs telling": onec_field('"Основание" = { from = "other", default = "2026-12-01" }'),
    "1c without a tabular part": onec_field('"Статус" = { from = "reason", by = "Свойство" }'),
    "1c without a column": onec_field('"Товары" = { from = "goods", by = "Свойство" }'),
    # Telegram
    "telegram 401": telegram(telegram_faults.refusal(401, "Unauthorized"), "Unauthorized"),
    "telegram 404": telegram(telegram_faults.refusal(404, "Not Found"), "Not Found"),
    "telegram 429": telegram(telegram_faults.refusal(429, "Too Many Requests", retry_after=5), "Too Many Requests"),
    "telegram 500": telegram(telegram_faults.refusal(500, "Internal Server Error"), "Internal Server Error"),
    # E-mail
    "mail is refused at the door": mail(email_faults.refusal(554, "5.7.1 go away"), "connect", said=["5.7.1 go away"]),
    "mail is refused for now": mail(email_faults.refusal(421, "4.3.2 later"), "connect", said=["4.3.2 later"]),
    "mail is refused by name": mail(email_faults.refusal(550, "5.7.1 bad name"), "helo", said=["5.7.1 bad name"]),
    "mail is refused by sender": mail(email_faults.refusal(553, "5.7.1 not you"), "mail", said=["5.7.1 not you"]),
    "mail is refused for its sender now": mail(email_faults.refusal(451, "4.7.1 wait"), "mail", said=["4.7.1 wait"]),
    "mail is refused for its size": mail(email_faults.refusal(552, "5.2.3 large"), "mail", said=["5.2.3 large"]),
    "mail meets another service": mail(email_faults.answer(b"SSH-2.0-OpenSSH_9.2\r\n"), "connect"),
    "mail meets nonsense": mail(email_faults.answer(b"354 go ahead\r\n"), "mail"),
    "mail is dropped": mail(email_faults.reset(), "helo"),
    "mail without starttls": mail(EMAIL_TLS="starttls"),
    "mail without a login": mail(EMAIL_SMTP_USERNAME="worker", EMAIL_SMTP_PASSWORD="0123456789", said=NO_AUTH),
    "mail with a login beyond ascii": mail(EMAIL_SMTP_USERNAME="почта", EMAIL_SMTP_PASSWORD="0123456789"),
    "mail to a name that nobody has": mail(EMAIL_SMTP_HOST="no-such-host.invalid", said=NO_NAME),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_system_alone_says(stage: Stage, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_told_in_both(CASES[name](stage), stage.folder, capsys)


class TestMail:
    def test_nobody_listens(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        assert_told_in_both(Broken(mail_settings(1)), stage.folder, capsys)

    @pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
    @pytest.mark.filterwarnings("ignore:Session.login_data is deprecated:DeprecationWarning")
    def test_a_wrong_password(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        server = stage.enter(MailServer(credentials=("worker", "0123456789")))
        login = {"EMAIL_SMTP_USERNAME": "worker", "EMAIL_SMTP_PASSWORD": "wrong-0123456789"}
        broken = Broken(
            {**mail_settings(server.port), **login}, ["EMAIL_SMTP_PASSWORD"], ["Authentication credentials invalid"]
        )
        assert_told_in_both(broken, stage.folder, capsys)

    def test_a_certificate_of_an_unknown_issuer(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        server = stage.enter(MailServer(tls="tls", context=context))
        broken = Broken({**mail_settings(server.port), "EMAIL_TLS": "tls"}, ["EMAIL_CA_FILE"], OPENSSL)
        assert_told_in_both(broken, stage.folder, capsys)

    def test_a_ca_file_that_holds_none(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        environ = {**mail_settings(1), "EMAIL_TLS": "tls", "EMAIL_CA_FILE": stage.file("ca.pem", "none")}
        assert_told_in_both(Broken(environ, ["EMAIL_CA_FILE"], OPENSSL), stage.folder, capsys)

    def test_a_journal_that_cannot_be_written(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        (stage.folder / "sends.sqlite").mkdir()
        assert_told_in_both(Broken(mail_settings(1), ["STATE_DIR"], [str(stage.folder)]), stage.folder, capsys)

    def test_no_right_to_send_anything(self, stage: Stage) -> None:
        server = stage.enter(EmailSandbox())
        server.inject(email_faults.refusal(550, "5.7.1 relaying denied"), "rcpt", count=None)
        client = SmtpClient(settings_for(server, stage.folder), threading.Event())
        with pytest.raises(NoRightError) as refused:
            require_right_to_send(client, ["nobody@example.ru"])
        assert_the_readers_own(_by_language(refused.value.text), ["5.7.1 relaying denied"], ["EMAIL_EHLO_NAME"])


@pytest.mark.parametrize("content", [None, "roles: {}", "mappings: {accountant: nobody}", "mappings: {yes: 1}"])
def test_roles_that_can_no_more_be_used(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "roles.yaml").write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        Roles(tmp_path / "roles.yaml", 60).current()
    said = ["No such file or directory", str(tmp_path), "yes, no, on or off", "yes, no, on или off"]
    assert_the_readers_own(_by_language(refused.value.text), said, ["BITRIX_ROLES_FILE"])


# -- what is told before any system is asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler",
    [
        ("no_such_module", "Handler"),
        ("tests.support.fatal_handler", "Missing"),
        ("core.texts", "Text"),
        ("tests.test_nothing_of_this_name.inner", "Handler"),
    ],
)
@pytest.mark.parametrize("setting", ["QUEUE_HANDLERS", "TRACKER_CONFIG"])
def test_a_class_that_cannot_be_used(
    setting: Literal["QUEUE_HANDLERS", "TRACKER_CONFIG"], handler: tuple[str, str]
) -> None:
    _, mistakes = load_classes({"x.queue": handler, "y.queue": handler}, setting)
    assert len(mistakes) == 2
    for mistake in mistakes:
        assert_the_readers_own(_by_language(mistake.problem), [str(handler)])


def test_a_module_that_fails_or_misses_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fails_on_import.py").write_text("raise RuntimeError('x')")
    (tmp_path / "misses_another.py").write_text("import no_such_module")
    (tmp_path / "cannot_be_made.py").write_text(
        "from base_handler import BaseMessageHandler\n\n\nclass Handler(BaseMessageHandler):\n"
        "    def __init__(self):\n        raise RuntimeError('x')\n"
    )
    for module in ("fails_on_import", "misses_another"):
        _, [mistake] = load_classes({"x.queue": (module, "Handler")}, "QUEUE_HANDLERS")
        assert_the_readers_own(_by_language(mistake.problem))
    classes, _ = load_classes({"x.queue": ("cannot_be_made", "Handler")}, "QUEUE_HANDLERS")
    [made] = classes.values()
    with pytest.raises(LoadError) as refused:
        make_handler(made, None, threading.Event())
    assert_the_readers_own(_by_language(refused.value.text))


def test_a_setting_that_is_missing_is_named_in_both() -> None:
    assert NotConfiguredError(variable="ONEC_URL").text == ("ONEC_URL is not set", "ONEC_URL не задана")
    assert NotConfiguredError(variable="ONEC_URL").args == ("ONEC_URL is not set",)
    assert NotConfiguredError("лицензии нет").text == ("лицензии нет", "лицензии нет")


def test_init_fields_says_why_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts: dict[Language, str] = {}
    with BitrixSandbox(admin=False, user_fields=BARE_USER_FIELDS) as portal:
        portal.inject(bitrix_faults.error("insufficient_scope"), "task.item.userfield.add", count=None)
        for lang in LANGUAGES:
            assert init_fields({"BITRIX_WEBHOOK_URL": portal.webhook_url}, tmp_path / ".env", lang) == 3
            texts[lang] = capsys.readouterr().err
    assert_the_readers_own(texts, PORTAL, ["task.item.userfield.add"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[services.x]\nkind = 'python'\ncallable = 'no_such:thing'\n"])
@pytest.mark.parametrize(
    "variable", ["SERVICES_FILE", "RABBITMQ_PASSWORD_FILE", "BITRIX_ROLES_FILE", "ONEC_MAPPING_FILE"]
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, variable: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.toml").write_bytes(content)
    environ = {variable: str(tmp_path / "file.toml"), "ONEC_URL": "http://127.0.0.1:1/base", "ONEC_USERNAME": "x"}
    texts: dict[Language, str] = {}
    for lang in LANGUAGES:
        if check_configuration(environ, tmp_path / ".env", lang, probe=False) == 0:
            return  # an ordinary file for this variable
        texts[lang] = "\n".join(
            line for line in capsys.readouterr().err.splitlines() if line.startswith("      ") and "→" not in line
        )
    assert_the_readers_own(texts, YAML)


def test_a_broken_line_is_pointed_at_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\nnothing\n")
    for lang in LANGUAGES:
        check_configuration({}, tmp_path / ".env", lang, probe=False)
        line = Text("line 2", "строка 2").say(lang)
        assert f"{tmp_path / '.env'}, {line}\n" in capsys.readouterr().err


def test_an_outcome_is_english_wherever_no_person_chooses_the_language() -> None:
    error = PermanentError(Text("no such task", "такой задачи нет"))
    assert (error.reason, str(error), error.args) == ("no such task", "no such task", ("no such task",))
    assert error.text.say("ru") == "такой задачи нет"
    assert PermanentError("as it came").text.say("ru") == "as it came"


def _by_language(text: Text) -> dict[Language, str]:
    return {lang: text.say(lang) for lang in LANGUAGES}
