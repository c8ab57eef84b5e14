"""The documents say what the program does: every list, table, example and command in them is held against it."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import environment_variables as of_api
from opentelemetry.sdk import environment_variables as of_sdk

from assembly.startup import read_configuration
from broker.settings import RabbitMQSettings
from broker.topology import SHARDS, Topology, shard_of, shard_queue_names
from cli.demo.systems import SYSTEMS
from cli.demo.systems.bitrix import BitrixScenario
from cli.demo.texts import say
from cli.exit_codes import EXIT_BAD_CONFIGURATION
from config import WorkerSettings
from core import envelopes, errors, messages
from core.errors import InvalidMessageError
from core.messages import Limits, decode_task
from core.policy import WAIT_STEPS
from core.results import Accepted
from core.texts import Language, Text
from core.version import VERSION
from sandbox import camunda
from sandbox.process import ROOT
from tests.support import documents
from tools.documents import SECTIONS, event_classes, made

README, README_RU = "README.md", "README.ru.md"
MANUAL, MANUAL_RU = "docs/operation.md", "docs/operation.ru.md"
MESSAGES, MESSAGES_RU = "docs/messages.md", "docs/messages.ru.md"
CONTRACT, CONTRACT_RU = "docs/contract.md", "docs/contract.ru.md"
PAIRS = [(README, README_RU), (MANUAL, MANUAL_RU), (MESSAGES, MESSAGES_RU), (CONTRACT, CONTRACT_RU)]
PAGES = [name for pair in PAIRS for name in pair]
DOCUMENTS = [
    *PAGES,
    *("CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions.md", "docs/guarantees.md"),
    *("docs/adding-a-system.md", "docs/adding-a-system.ru.md"),
]
EVERY_PAGE = sorted(path.as_posix() for path in documents.project_files() if path.suffix == ".md")

FOREIGN_NAMES = {
    *("ERROR_CORE", "LC_ALL", "LC_MESSAGES", "LANG", "TICKETS_URL"),
    "INTERNAL_ERROR",  # what RabbitMQ calls a 541
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "NO_COLOR"),  # of the environment
    *("RABBITMQ_VERSION", "RABBITMQ_MANAGEMENT_PORT"),  # of the demo's and the tests' own server
    *(name for name in (*vars(of_api), *vars(of_sdk)) if name.startswith("OTEL_")),
}
LEAST_SETTINGS = {
    "RABBITMQ_HOST": "rmq.example.com",
    "RABBITMQ_USERNAME": "worker",
    "RABBITMQ_PASSWORD": "p4ssword",
    "RABBITMQ_VIRTUAL_HOST": "/prod",
    "BITRIX_WEBHOOK_URL": "https://portal.example.com/rest/1/c0de",
    "OPENPROJECT_URL": "https://op.example.com",
    "OPENPROJECT_TOKEN": "t0ken",
    "ONEC_URL": "https://1c.example.com/base",
    "ONEC_USERNAME": "worker",
    "ONEC_PASSWORD": "p4ssword",
    "EMAIL_SMTP_HOST": "mail.example.com",
    "EMAIL_FROM": "worker@example.com",
    "TELEGRAM_BOT_TOKEN": "1:t0ken",
    "NOTIFY_EMAIL_TO": "duty@example.com",
    "NOTIFY_TELEGRAM_CHATS": "42",
}
FILE = re.compile(r"(?:[\w.-]+/)+|(?:[\w.-]+/)*[\w-]+\.(?:py|md|txt|toml|lock|example|sh)")
NOT_IN_THE_PROJECT = re.compile(r"consumers/tickets/|^logs/|^\.venv/|^task_creator/$")
# A machine's own folders, and the folder that lies beside this project on one of them.
FOREIGN_PATH = re.compile(r"(?<![\w.>}])/(?:work|root|tmp|home/[a-z]\w*|Users/\w+)/\w|\.\./shared")

both_readmes = pytest.mark.parametrize("name", [README, README_RU])
both_manuals = pytest.mark.parametrize("name", [MANUAL, MANUAL_RU])
EVERY_PAIR = [(name.replace(".ru.md", ".md"), name) for name in EVERY_PAGE if name.endswith(".ru.md")]
both_languages = pytest.mark.parametrize(("english", "russian"), EVERY_PAIR)


# -- both languages -----------------------------------------------------------------------------------------------


@both_languages
def test_both_languages_have_the_same_sections_in_the_same_order(english: str, russian: str) -> None:
    told, heard = documents.headings(english), documents.headings(russian)
    assert [each.split(" ")[0] for each in told] == [each.split(" ")[0] for each in heard]
    assert [documents.code_spans(each) for each in told] == [documents.code_spans(each) for each in heard]


@both_languages
def test_both_languages_give_the_same_commands_and_examples(english: str, russian: str) -> None:
    told, heard = ([documents.without_words(each) for each in documents.blocks(name)] for name in (english, russian))
    assert told == heard


@both_languages
def test_both_languages_name_the_same_things_as_often(english: str, russian: str) -> None:
    told, heard = (sorted(documents.code_spans(documents.prose(name))) for name in (english, russian))
    assert told == heard


@both_languages
def test_both_languages_have_the_same_tables_row_by_row(english: str, russian: str) -> None:
    told, heard = (
        [(row.count("|"), sorted(documents.code_spans(row))) for row in documents.table_rows(name)]
        for name in (english, russian)
    )
    assert told == heard


@both_languages
def test_each_language_links_the_other(english: str, russian: str) -> None:
    for name, other in ((english, russian), (russian, english)):
        assert other.rpartition("/")[2] in documents.links(name), name


@pytest.mark.parametrize(("name", "language"), [(MANUAL, "en"), (MANUAL_RU, "ru")])
def test_the_demos_output_is_in_the_demos_own_words(name: str, language: Language) -> None:
    output = documents.block_with(name, "text", "camunda.responses.queue")
    names = {"system": BitrixScenario.title.say(language), "systems": ", ".join(SYSTEMS)}
    figures = ("sent", "created", "duplicates", "completed", "errors", "created_twice", "answered_twice", "lost")
    words = ("title", "summary", "broken_title", "next", "next_env", "next_check", "next_fields", "next_run")
    further = ("next_keep", "next_systems")
    assert [each for each in (*figures, *words, *further) if say(language, each, **names) not in output] == []
    assert re.search(rf"{say(language, 'lost')} +0$", output, re.M)


@pytest.mark.parametrize(("readme", "manual", "language"), [(README, MANUAL, "en"), (README_RU, MANUAL_RU, "ru")])
def test_the_readme_shows_the_account_of_the_demo_as_the_manual_does(
    readme: str, manual: str, language: Language
) -> None:
    account = documents.block_with(readme, "text", say(language, "summary"))
    assert account in documents.block_with(manual, "text", "camunda.responses.queue")
    assert say(language, "lost") in account


@both_readmes
def test_a_readme_is_read_in_ten_minutes(name: str) -> None:
    assert len(documents.read(name).splitlines()) <= 300, "the manual takes what is longer"


# -- files, links, versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_every_link_inside_the_project_leads_somewhere(name: str) -> None:
    for target in documents.links_inside(name):
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.is_file(), target
        assert not anchor or anchor in documents.anchors(str(file.relative_to(ROOT))), target


@pytest.mark.parametrize("name", [name for name in EVERY_PAGE if name.endswith(".ru.md")])
def test_a_russian_page_leads_to_russian_pages(name: str) -> None:
    own = Path(name).name.replace(".ru.md", ".md")
    paths = {target.partition("#")[0] for target in documents.links_inside(name)}
    english = {path for path in paths if path.endswith(".md") and not path.endswith(".ru.md") and path != own}
    assert [path for path in english if ((ROOT / name).parent / path.replace(".md", ".ru.md")).is_file()] == []


def test_every_page_that_the_code_names_exists() -> None:
    pages = re.compile(r"(?<![\w./-])(?:docs|consumers)/(?:[\w-]+/)*[\w.-]+\.md\b")
    texts = {
        path.as_posix(): (ROOT / path).read_bytes().decode("utf-8", "replace") for path in documents.project_files()
    }
    named = {(page, name) for name, text in texts.items() for page in pages.findall(text)}
    assert len(named) > 20
    assert [each for each in sorted(named) if each[0] not in texts] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_mentioned_exists(name: str) -> None:
    files = [f"/{path.as_posix()}" for path in documents.project_files()]
    spans = {span.split(" ")[0].removeprefix("./") for span in documents.code_spans(documents.prose(name))}
    mentioned = {span for span in spans if FILE.fullmatch(span) and not NOT_IN_THE_PROJECT.search(span)}
    ends = {
        f"/{span}": any(f"/{span}" in file if span.endswith("/") else file.endswith(f"/{span}") for file in files)
        for span in mentioned
    }
    assert [span for span, exists in ends.items() if not exists] == []


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## {re.escape(VERSION)}\b", documents.read("CHANGELOG.md"), re.M)


def test_every_dependency_is_accounted_for() -> None:
    files = ("requirements.txt", "requirements-otel.txt", "requirements-dev.txt")
    wanted = "".join(map(documents.read, files))
    names = set(re.findall(r"^[A-Za-z][\w-]*", wanted, re.M))
    header = ("package", "licence", "why")
    explained = re.split(r"^Development", documents.prose("docs/decisions.md"), flags=re.M)
    assert len(explained) == 2, "one table each"
    told = {
        name
        for part in explained
        for row in re.findall(r"^\| ([^|]+) \|", part, re.M)
        for name in row.split(", ")
        if name not in header
    }
    assert names - told == set()


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    found = {}
    for path in documents.project_files():
        text = (ROOT / path).read_bytes().decode("utf-8", "replace")
        # The one place that may look beside the project.
        if path.as_posix() != ".ci/run" and (match := FOREIGN_PATH.search(text)):
            found[path.as_posix()] = match[0]
    assert found == {}


# -- what the documents list --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_that_is_named_exists(name: str) -> None:
    known = documents.example_variables().keys()
    text = documents.prose(name) + "".join(text for kind, text in documents.blocks(name) if kind == "sh")
    names = set(re.findall(r"\b(?!UF_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b(?!\*)", text))
    assert names - known - FOREIGN_NAMES == set()


@both_manuals
def test_the_defaults_in_the_table_are_the_defaults(name: str) -> None:
    header = ("variable", "default") if name == MANUAL else ("переменная", "по умолчанию")
    shown = {row[0].strip("`"): row[1].strip("`").replace("–", "") for row in documents.table(name, *header)}
    known = documents.example_variables()
    assert shown == {variable: known[variable] for variable in shown}


@pytest.mark.parametrize("name", SECTIONS)
def test_the_lists_and_the_drawings_are_made_from_the_code(name: str) -> None:
    assert made(name) == documents.read(name), "python -m tools.documents makes it anew"


def test_each_list_is_made_in_both_languages() -> None:
    for kind in ("events", "outcomes", "metrics", "api-metrics"):
        [english, russian] = [name for name, lists in SECTIONS.items() if kind in lists]
        assert (english, russian) in PAIRS


def test_every_event_is_explained_in_both_languages() -> None:
    for each in event_classes():
        assert re.search("[a-z]", each.meaning.en), each
        assert re.search("[а-я]", each.meaning.ru), each


def test_no_line_of_the_log_has_a_code_that_is_no_event() -> None:
    # They are written from classes; a code beside them would be in no list.
    assert documents.codes_beside_the_events() == set()


@pytest.mark.parametrize("name", [MESSAGES, MESSAGES_RU])
def test_the_list_of_refusals_is_complete_and_has_no_other(name: str) -> None:
    rows = documents.table(name, *(("refused", "code") if name == MESSAGES else ("отказ", "код")))
    listed = {code for row in rows for code in documents.code_spans(row[1])}
    assert listed ^ documents.refusal_codes() == set()


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_every_command_is_valid_shell(name: str) -> None:
    for kind, text in documents.blocks(name):
        if kind == "sh":
            done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stderr}"


def test_the_systemd_unit_fits_the_program() -> None:
    unit = configparser.ConfigParser()
    unit.read_string(next(text for kind, text in documents.blocks(MANUAL) if kind == "ini"))
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["RestartPreventExitStatus"]) == EXIT_BAD_CONFIGURATION
    assert int(service["TimeoutStopSec"]) > WorkerSettings().shutdown_timeout + 10
    assert service["ExecStart"].startswith(service["WorkingDirectory"])


# -- what the documents let people do -----------------------------------------------------------------------------


def test_the_settings_that_the_readme_calls_the_least_are_enough(tmp_path: Path) -> None:
    registry = tmp_path / "services.toml"
    registry.write_text(
        '[services.files]\nkind = "http"\nurl = "http://127.0.0.1:8090/"\ntopics = ["file_processing"]\n'
    )
    values = {**LEAST_SETTINGS, "SERVICES_FILE": str(registry)}
    rows = documents.table(README, "what", "what is made of a message, and what finishes it")
    wanted = [documents.code_spans(row[2]) for row in rows]
    assert {name for names in wanted for name in names} == values.keys()
    for names in (*wanted[:-1], values):  # alerts need mail or Telegram
        read_configuration({name: values[name] for name in names}, tmp_path / "no .env")  # raises what is wrong


def test_the_sample_of_an_input_message_is_accepted() -> None:
    task = decode_task(documents.block_with(MESSAGES, "json", "inputParameters").encode(), Limits())
    assert task.variables == {"title": "Approve the contract", "priority": "2"}


def test_the_answer_in_the_readme_is_the_daemons_answer_to_the_task_in_the_readme() -> None:
    task = decode_task(documents.block_with(README, "json", "extensionProperties").encode(), Limits())
    text = documents.block_with(README, "json", "completed_by_tracker")
    told = json.loads(text)
    created = Accepted({"result": {"task": {"id": "42"}}}, "42")
    sent = envelopes.decode_sent(envelopes.encode_sent(task, "bitrix24.queue", created, 1795416780.5).body)
    answer = envelopes.encode_response(
        sent,
        told["response_data"],
        status=envelopes.PROCESSING_COMPLETED_BY_TRACKER,
        echo_variables=True,
        now=told["processed_at"],
    )
    assert json.loads(answer.body) == told
    assert list(told) == list(json.loads(answer.body))
    assert documents.block_with(MESSAGES, "json", "completed_by_tracker") == text


def test_the_samples_of_messages_have_the_shapes_of_the_contract() -> None:
    for part in ('"processing_status": "success"', "completed_by_tracker", '"error_info"'):
        short, full = (json.loads(documents.block_with(name, "json", part)) for name in (MESSAGES, CONTRACT))
        assert list(short) == list(full)


@both_readmes
def test_the_routing_keys_of_the_readme_are_those_of_the_daemon_and_the_topics_are_known(name: str) -> None:
    header = ("routing key", "reaches") if name == README else ("ключ маршрутизации", "куда ведёт")
    *bound, unrouted = documents.table(name, *header)
    topology = Topology(RabbitMQSettings())
    shown = {documents.code_spans(row[1])[0]: documents.code_spans(row[0]) for row in bound}
    assert shown == {queue: [key for _, key in topology.queue(queue).bindings] for queue in shown}
    reached = {queue for queue, bindings in camunda.QUEUES.items() if bindings} - {topology.responses_queue}
    assert {*shown, *documents.code_spans(unrouted[1])} == reached
    explained = "".join(documents.read(page) for page in EVERY_PAGE if page.startswith("consumers/"))
    topics = {
        span for row in (*bound, unrouted) for span in documents.code_spans(row[2]) if not span.endswith(".queue")
    }
    assert [topic for topic in topics if f"`{topic}`" not in explained] == []


# -- the contract -------------------------------------------------------------------------------------------------


def test_the_contracts_topology_is_what_the_daemon_and_the_sandbox_declare() -> None:
    topology = Topology(RabbitMQSettings())
    exchanges = {row[0].strip("`"): row[1] for row in documents.table(CONTRACT, "exchange", "type")}
    assert exchanges == {each.name: each.type for each in topology.exchanges}
    assert exchanges == {name: kind for name, kind, _ in camunda.EXCHANGES}
    queues = {}
    for row in documents.table(CONTRACT, "queue", "bound to"):
        [name], sources = documents.code_spans(row[0]), documents.code_spans(row[1])
        keys = [""] if row[2] == "(empty)" else documents.code_spans(row[2])
        queues[name] = tuple((source, key) for source in sources for key in keys)
    assert queues == {name: tuple(topology.queue(name).bindings) for name in queues}
    assert queues == {name: tuple(bindings) for name, bindings in camunda.QUEUES.items()}


def test_the_contracts_wait_queues_are_those_of_the_daemon() -> None:
    shown = json.loads(documents.block_with(CONTRACT, "json", "x-message-ttl"))
    assert shown == Topology(RabbitMQSettings()).queue("bitrix24.queue.retry.5000ms").arguments
    steps = ", ".join(f"{step:g}" for step in WAIT_STEPS)
    assert f"Delays in seconds: {steps}." in documents.prose(CONTRACT)
    assert f"Паузы в секундах: {steps}." in documents.prose(CONTRACT_RU)


def test_the_contracts_shards_are_those_of_the_daemon() -> None:
    first, *_, last = shard_queue_names("bitrix24.sent.queue")
    text = f"`<queue>.shard.<nn>`, here `{first}` to `{last}`"
    assert text in documents.prose(CONTRACT)
    assert f"здесь от `{first}` до `{last}`" in documents.prose(CONTRACT_RU)
    for name in ("4711", "задача"):
        assert shard_of(name) == zlib.crc32(name.encode()) % SHARDS, "the contract says how it is computed"


def test_the_contract_names_all_our_headers() -> None:
    listed = {row[0].strip("`") for row in documents.table(CONTRACT, "header", "on")}
    assert listed == {value for name, value in vars(messages).items() if name.startswith("HEADER_")}


def test_the_contracts_messages_are_what_the_daemon_writes() -> None:
    text = documents.block_with(CONTRACT, "json", '"worker_id"')
    task = decode_task(text.encode(), Limits())
    answered = {**task.fields, "variables": {k: v for k, v in task.variables.items() if k != task.activity_id}}
    assert answered != task.fields, "the sample shows a stale answer"

    def shown(part: str) -> Any:
        filled = documents.block_with(CONTRACT, "json", part)
        for name, value in (("@TASK", task.fields), ("@TASK_WITHOUT_ANSWER", answered)):
            filled = filled.replace(f'"{name}"', json.dumps(value))
        return json.loads(filled)

    result = Accepted({"result": {"task": {"id": "42", "title": "Согласовать договор"}}, "success": True}, "42")
    sent = envelopes.encode_sent(task, "bitrix24.queue", result, 1795158902.5)
    assert json.loads(sent.body) == shown('"processing_status": "success"')
    finished = shown("completed_by_tracker")
    response = envelopes.encode_response(
        envelopes.decode_sent(sent.body),
        finished["response_data"],
        status=envelopes.PROCESSING_COMPLETED_BY_TRACKER,
        echo_variables=True,
        now=finished["processed_at"],
    )
    assert json.loads(response.body) == finished
    report = shown('"error_info"')
    error = errors.PermanentError(Text(report["error"], report["error_ru"]), code="bad_value")
    failure = envelopes.Failure(error, "bitrix24.queue", "bitrix24", 1, 1795158901.0, 1795158902.5)
    failed = envelopes.encode_failed_task(task, failure)
    assert json.loads(failed.body) == report
    ids = [each.message_id.removeprefix(task.task_id) for each in (sent, response, failed)]
    told = [row[1] for row in documents.table(CONTRACT, "message", "`message_id`")]
    assert [f"`<task_id>{end}`" for end in ids] == told[:3]


def test_a_message_of_the_contract_that_is_cut_off_is_refused() -> None:
    text = documents.block_with(CONTRACT, "json", '"worker_id"')
    with pytest.raises(InvalidMessageError):
        decode_task(text[: len(text) // 2].encode(), Limits())
