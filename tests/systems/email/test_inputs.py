"""Whatever a process gives, of every type of the engine: a mail that holds it, or an outcome that names it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.email.compose import Composer
from core import values
from core.errors import OutcomeError, PermanentError
from core.messages import CamundaTask
from core.results import Done
from sandbox.email import EmailSandbox
from tests.support import engine_variables
from tests.systems.email.support import handler_for, message, settings_for, task
from tests.systems.email.test_compose import NOW

PARTS = ("to", "cc", "bcc", "subject", "body", "body_html", "template", "reply_to", "attachments")

TEXT = st.text(max_size=30)
ADDRESS = st.sampled_from(["a@example.com", "Иван <b@example.com>", '"Doe, John" <c@example.com>', "x", "a@b@c"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | ADDRESS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "content", "x"]), inner),
    max_leaves=6,
)

# What a mail is made of, in the types that hold it.
SERIALIZED = JSON.map(json.dumps)
TYPED = st.one_of(
    engine_variables.TYPED,
    engine_variables.typed("String", ADDRESS),
    engine_variables.typed("Date", st.sampled_from(["1970-01-01T00:00:00.000+0000", "x"])),
    engine_variables.typed("Json", SERIALIZED),
    engine_variables.typed("Object", SERIALIZED, serializationDataFormat="application/json"),
)
VARIABLES = st.dictionaries(st.sampled_from([*PARTS, *(f"email_{part}" for part in PARTS)]), TYPED | JSON | ADDRESS)


@pytest.fixture(scope="module")
def server() -> Iterator[EmailSandbox]:
    with EmailSandbox() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inputs")


def composed(composer: Composer, given_task: CamundaTask) -> EmailMessage | PermanentError:
    """The mail as its reader gets it, or why there is none."""
    try:
        letter = composer.letter(given_task, composer.recipients(given_task), NOW)
    except PermanentError as error:
        return error
    return message_from_bytes(letter.content, policy=default)


@given(VARIABLES)
def test_variables_of_every_type_make_a_mail_or_an_outcome(
    server: EmailSandbox, folder: Path, variables: dict[str, Any]
) -> None:
    key = str(uuid.uuid4())
    try:
        result = handler_for(server, folder).handle(message(key, **variables))
    except OutcomeError:
        assert key not in server.by_task()
        return
    assert isinstance(result, Done)
    everybody = [each for mail in server.by_task()[key] for each in mail.recipients]
    assert everybody == result.response["email_accepted"]


@given(
    st.text(max_size=998).map(lambda text: " ".join(text.split())),
    st.text(max_size=200),
    st.text(max_size=50),
)
def test_texts_arrive_letter_for_letter_or_are_refused_by_name(subject: str, body: str, name: str) -> None:
    variables: dict[str, Any] = {"subject": subject, "body": body, "to": f'"{name}" <a@example.com>'}
    given_task = task("task-1", name="the name of the step", **variables)
    composer = Composer(settings_for(None, Path("/nowhere")))
    got = composed(composer, given_task)
    if isinstance(got, PermanentError):
        assert got.reason.startswith(("subject: ", "to: ", "the mail has no text"))
        return
    assert composer.warnings(given_task) == []
    assert str(got["Subject"]).split() == (subject.split() or ["the", "name", "of", "the", "step"])
    text = got.get_body(("plain",))
    assert text is not None
    lines = body.replace("\r\n", "\n").replace("\r", "\n")
    assert text.get_content().replace("\r\n", "\n").removesuffix("\n") == lines.removesuffix("\n")


@given(st.text(max_size=220), st.binary(max_size=50))
def test_an_attachment_arrives_with_its_name_or_is_refused_by_name(name: str, content: bytes) -> None:
    attachment = {"name": name, "content": base64.b64encode(content).decode(), "content_type": "application/pdf"}
    composer = Composer(settings_for(None, Path("/nowhere")))
    given_task = task("task-1", to="a@example.com", subject="x", body="x", attachments=[attachment])
    mail = composed(composer, given_task)
    if isinstance(mail, PermanentError):
        assert mail.reason.startswith("attachments")
        return
    [got] = mail.iter_attachments()
    assert got.get_content() == content
    if not composer.warnings(given_task):  # told where a path was left away
        assert got.get_filename() == name.strip()


@given(st.dictionaries(st.sampled_from(["who", "rows", "n"]), JSON))
def test_a_template_with_any_variables_makes_a_mail_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "a.txt").write_text(
        "{{ who | upper }}{{ who.name }}{{ n + 1 }}{{ n * 2 }}{{ n | round }}{{ rows | sort | join(', ') }}"
        "{% for row in rows | groupby('x') %}{{ row.grouper }}{% endfor %}{{ rows | sum }}{{ n | filesizeformat }}"
        "{{ who | truncate(3) }}{{ who | wordwrap(5) }}{{ rows | batch(2) | list }}{{ who | format(n) }}{{ who | int }}"
    )
    (folder / "b.html").write_text("{{ who }}{{ rows | tojson }}{{ who | urlize }}{{ n | default(0) | abs }}")
    composer = Composer(settings_for(None, folder, templates_dir=folder))
    for name in ("a", "b"):
        given_task = task("task-1", to="a@example.com", subject="x", template=name, **variables)
        try:
            composer.letter(given_task, composer.recipients(given_task), NOW)
        except PermanentError:
            continue


def test_a_subject_that_is_too_long_is_refused_and_never_cut() -> None:
    composer = Composer(settings_for(None, Path("/nowhere")))
    long = task("task-1", to="a@example.com", subject="x" * 999, body="x")
    with pytest.raises(values.BadValueError, match="at most 998 characters"):
        composer.letter(long, composer.recipients(long), NOW)


def test_what_is_surely_meant_for_the_mail_and_is_no_part_of_one_is_told_in_the_result(
    server: EmailSandbox, folder: Path
) -> None:
    earlier = {"email_accepted": ["x@y.ru"], "email_refused": {}, "email_message_id": "<x@y.ru>"}  # our own results
    attachments = [{"name": "C:\\temp\\Отчёт.txt", "content": "eA=="}, {"name": "b.txt", "content": "eA=="}]
    given_names: dict[str, Any] = {"email_priority": "high", "email_from": "x@y.ru", "priority": 5, **earlier}
    key = str(uuid.uuid4())
    for _ in range(2):  # the same task has the same result
        result = handler_for(server, folder).handle(message(key, attachments=attachments, **given_names))
        assert isinstance(result, Done)
        assert result.response["warnings"] == [
            "email_from is no part of a mail and is not used",
            "email_priority is no part of a mail and is not used",
            "attachments: C:\\temp\\Отчёт.txt is attached as Отчёт.txt",
        ]
    assert len(server.by_task()[key]) == 1
