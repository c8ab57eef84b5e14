"""From a task to a mail: what is taken, what is refused with its name, and what a stranger cannot smuggle in."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.email import templates
from consumers.email.addresses import parse_address, parse_addresses
from consumers.email.attachments import Attachments
from consumers.email.compose import Composer
from consumers.email.plaintext import text_of
from core.errors import OutcomeError, PermanentError
from core.messages import CamundaTask
from tests.systems.email.support import settings_for, task

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
MAIL: dict[str, Any] = {"to": "a@example.com", "subject": "Проверка", "body": "Текст"}


def composed(given_task: CamundaTask, folder: Path = Path(), **settings: Any) -> EmailMessage:
    composer = Composer(settings_for(None, folder, **settings))
    letter = composer.letter(given_task, composer.recipients(given_task), NOW)
    return message_from_bytes(letter.content, policy=default)


def mail(folder: Path = Path(), settings: dict[str, Any] | None = None, **variables: Any) -> EmailMessage:
    return composed(task("task-1", **{**MAIL, **variables}), folder, **(settings or {}))


def refused(match: str, folder: Path = Path(), settings: dict[str, Any] | None = None, **variables: Any) -> None:
    with pytest.raises(PermanentError, match=match):
        mail(folder, settings, **variables)


def plain_text(got: EmailMessage) -> str:
    body = got.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


# -- where values come from -------------------------------------------------------------------------------------------


def test_variables_win_over_extensions_and_these_over_parameters() -> None:
    fields = {
        **task("task-1", to="v@example.com").fields,
        "metadata": {
            "extensionProperties": {"to": "e@example.com", "subject": "из расширений"},
            "inputParameters": {"subject": "из параметров", "body": "из параметров"},
        },
    }
    got = composed(CamundaTask(b"", fields))
    assert (str(got["To"]), str(got["Subject"])) == ("v@example.com", "из расширений")
    assert plain_text(got).strip() == "из параметров"


def test_names_with_a_prefix_are_surely_meant_for_the_mail() -> None:
    got = mail(email_subject="Для письма", email_to="b@example.com")
    assert (str(got["Subject"]), str(got["To"])) == ("Для письма", "b@example.com")


def test_without_a_subject_the_name_of_the_step_is_one() -> None:
    assert str(mail(subject="  ")["Subject"]) == "Согласовать договор"
    with pytest.raises(PermanentError, match="subject"):
        composed(task(name="", **{**MAIL, "subject": None}))


@pytest.mark.parametrize(
    ("missing", "match"),
    [({"to": ""}, "no recipient"), ({"body": "  "}, "no text"), ({"to": None, "cc": []}, "no recipient")],
)
def test_what_is_missing_is_named(missing: dict[str, Any], match: str) -> None:
    refused(match, **missing)


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a@b.ru", [("", "a@b.ru")]),
        ("a@b.ru, c@d.ru", [("", "a@b.ru"), ("", "c@d.ru")]),
        ("a@b.ru;c@d.ru;", [("", "a@b.ru"), ("", "c@d.ru")]),
        (["a@b.ru", "Иван <c@d.ru>"], [("", "a@b.ru"), ("Иван", "c@d.ru")]),
        ('["a@b.ru", "c@d.ru"]', [("", "a@b.ru"), ("", "c@d.ru")]),
        ('"Петров, Иван" <a@b.ru>, c@d.ru', [("Петров, Иван", "a@b.ru"), ("", "c@d.ru")]),
        ('"Он сказал \\"да\\"" <a@b.ru>', [('Он сказал "да"', "a@b.ru")]),
        ("a+b.c_d'e@B.Ru", [("", "a+b.c_d'e@b.ru")]),
        ("a@пример.рф", [("", "a@xn--e1afmkfd.xn--p1ai")]),
        ("<a@b.ru>", [("", "a@b.ru")]),
    ],
)
def test_addresses_are_taken_as_people_write_them(written: Any, found: list[tuple[str, str]]) -> None:
    assert [(each.display_name, each.addr_spec) for each in parse_addresses("to", written)] == found


@pytest.mark.parametrize(
    "written",
    [
        *("a", "@b.ru", "a@", "a@b@c.ru", "a b@c.ru", "a@b..ru", ".a@b.ru", "a.@b.ru", "a@-b.ru", "a@b_c.ru"),
        *("a@[127.0.0.1]", "a@127.0.0.1", '"a b"@c.ru', "a@b.ru>", "<a@b.ru", "x <y <a@b.ru>", "a@b.ru (comment)"),
        *("Группа: a@b.ru;", '"не закрыта <a@b.ru>', "a" * 65 + "@b.ru", "a@" + "b" * 64 + ".ru", "a@b.ru c@d.ru"),
        *(7, {"address": "a@b.ru"}, ["a@b.ru", 7], "[]x", "(" * 5000 + "a@b.ru", "a@" + "é" * 100_000),
    ],
)
def test_what_is_no_address_is_refused_with_its_field_and_value(written: Any) -> None:
    refused("to|domain", to=written)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(written: str) -> None:
    try:
        address = parse_address("to", written)
    except PermanentError:
        return
    assert address.addr_spec.count("@") == 1
    assert address.addr_spec.isprintable()
    assert " " not in address.addr_spec


def test_only_domains_that_are_allowed_get_mail() -> None:
    settings = {"allowed_domains": frozenset({"example.com", "xn--e1afmkfd.xn--p1ai"})}
    mail(settings=settings, cc="b@пример.рф")
    for name in ("to", "cc", "bcc"):
        stranger: dict[str, Any] = {name: "x@evil.example"}
        refused(f"{name}: x@evil.example", settings=settings, **stranger)
    refused("sub.example.com", settings=settings, to="a@sub.example.com")


def test_too_many_recipients_are_refused_as_a_whole() -> None:
    everybody = [f"u{number}@example.com" for number in range(51)]
    refused("51 recipients", to=everybody)
    assert len(mail(to=everybody[:50])["To"].addresses) == 50


def test_only_hidden_recipients_show_none() -> None:
    got = mail(to=None, bcc="a@example.com")
    assert str(got["To"]) == "undisclosed-recipients:;"
    assert "a@example.com" not in got.as_string()


# -- nothing can be smuggled into a header ----------------------------------------------------------------------------


BREAKS = st.sampled_from(["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
INJECTED = st.tuples(st.text(max_size=20), BREAKS, st.sampled_from(["Bcc: x@evil.example", "\r\nbody", " a"])).map(
    "".join
)
HEADERS = {"From", "Subject", "Date", "Auto-Submitted", "To", "Message-ID", "X-Camunda-Task-Id", "MIME-Version"}


@given(st.sampled_from(["subject", "to", "cc", "bcc", "reply_to"]), INJECTED)
def test_a_line_end_in_a_header_is_refused_with_the_fields_name(field: str, value: str) -> None:
    written = value if field == "subject" else f"x{value} <a@example.com>"
    variables: dict[str, Any] = {field: f"a{written}"}
    refused(f"^{field}: ", **variables)


@given(INJECTED)
def test_a_line_end_in_the_name_or_type_of_an_attachment_is_refused(value: str) -> None:
    content = base64.b64encode(b"x").decode()
    refused("attachments.name", attachments=[{"name": f"a{value}b", "content": content}])
    refused("attachments.content_type", attachments=[{"name": "a", "content": content, "content_type": f"a/b{value}"}])


@given(st.text(), st.text(), st.text(min_size=1, max_size=40))
def test_whatever_a_message_holds_the_mail_has_its_own_headers_only(subject: str, body: str, name: str) -> None:
    attachments = [{"name": name, "content": "eA=="}]
    try:
        got = mail(subject=subject, body=body, to=f'"{name}" <a@example.com>', attachments=attachments)
    except PermanentError:
        return
    assert set(got.keys()) == HEADERS | {"Content-Type"}
    assert [each.addr_spec for each in got["To"].addresses] == ["a@example.com"]


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Один</p><p>Два</p>", "Один\n\nДва"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ('<a href="https://x.ru/?a=1&amp;b=2">сюда</a>', "сюда (https://x.ru/?a=1&b=2)"),
        ("<a href='https://x.ru'>https://x.ru</a>", "https://x.ru"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ("<style>p {color: red}</style><script>a<b</script>текст", "текст"),
        ("<head><title>x</title></head><body>да</body>", "да"),
        ("<!-- <p>нет</p> -->да", "да"),
        ("&lt;b&gt; &amp; &quot;&nbsp;", '<b> & "'),
        ("1 < 2 и 3 > 2", "1 < 2 и 3 > 2"),
        ("не <закрыт", "не <закрыт"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("  много \n\n пробелов  ", "много пробелов"),
    ],
)
def test_html_has_a_text_for_readers_that_show_none(html: str, text: str) -> None:
    assert text_of(html) == text
    assert plain_text(mail(body=None, body_html=html)).strip() == text.strip()


@pytest.mark.parametrize("piece", ["<!--", "<a ", "<![CDATA[", "</a ", "<script>", "<?", "<a b='", "&", "<a href='x"])
def test_hostile_markup_takes_no_time_worth_mentioning(piece: str) -> None:
    text_of(piece * 200_000)  # with the standard library's parser this test would last for days


@given(st.text(alphabet="<>!-/a='\"& &;\n") | st.text())
def test_any_markup_has_some_text(markup: str) -> None:
    text_of(markup)


def test_a_text_beyond_all_measure_is_refused() -> None:
    refused("body has", body="x" * (templates.RENDERED_LIMIT + 1))


# -- templates --------------------------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> dict[str, Any]:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return {"templates_dir": folder}


def test_a_template_fills_subject_text_and_html(tmp_path: Path) -> None:
    settings = write(
        tmp_path,
        welcome__subject__txt="Привет, {{ who }}\n",
        welcome__txt="{% for row in rows %}{{ loop.index }}. {{ row.title }}\n{% endfor %}",
        welcome__html="<p>{{ who }}, шаг «{{ camunda.activity_name }}»</p>",
    )
    got = mail(settings=settings, template="welcome", who="<Иван>", rows=[{"title": "a"}, {"title": "b"}])
    assert str(got["Subject"]) == "Привет, <Иван>"
    assert plain_text(got).strip() == "1. a\n2. b"
    html = got.get_body(("html",))
    assert html is not None
    assert "&lt;Иван&gt;, шаг «Согласовать договор»" in html.get_content()


def test_html_alone_is_enough_and_the_subject_may_be_the_messages(tmp_path: Path) -> None:
    got = mail(settings=write(tmp_path, a__html="<p>Да</p>"), template="a")
    assert (str(got["Subject"]), plain_text(got).strip()) == ("Проверка", "Да")


@pytest.mark.parametrize(
    "name", ["../a", "a.txt", "A", "а", "", "a/b", "x" * 101, "{{ 7 }}", ["a"], {"x": 1}, 7, "a\n"]
)
def test_only_plain_names_are_templates(name: Any, tmp_path: Path) -> None:
    settings = write(tmp_path, a__txt="нет")
    if name in ("",):
        assert plain_text(mail(settings=settings, template=name)).strip() == "Текст"
    else:
        refused("template", settings=settings, template=name)


def test_a_template_of_the_message_itself_is_text(tmp_path: Path) -> None:
    settings = write(tmp_path, a__txt="{{ body }}")
    assert plain_text(mail(settings=settings, template="a", body="{{ 7 * 7 }}")).strip() == "{{ 7 * 7 }}"


def test_without_a_folder_there_are_no_templates() -> None:
    refused("EMAIL_TEMPLATES_DIR", template="a")


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ body.__class__.__mro__ }}", "unsafe|undefined"),
        ("{{ ''.__class__.__base__.__subclasses__() }}", "unsafe|undefined"),
        ("{{ (1).__init__.__globals__ }}", "unsafe|undefined"),
        ("{% broken", "unknown tag"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 1 + 'a' }}", "TypeError"),
        ("{{ 7 | nofilter }}", "nofilter"),
        ("{% include 'other.txt' %}", "other.txt"),
        ("{% include '../../etc/passwd' %}", "passwd"),
        ("{{ range(10**9) }}", "Range too big"),
        ("{{ 'x' * 10**9 }}", "numbers"),
        ("{{ '%1000000000d' % 1 }}", "numbers"),
        ("{{ 9 ** 999999999 }}", "numbers"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "turns"),
        ("{% for a in range(99999) %}" + "x" * 100 + "{% endfor %}", "characters"),
        ("{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}", "without end|turns"),
        ("{% for a in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}", "without end|turns"),
    ],
)
def test_a_template_that_fails_or_runs_away_costs_one_message(source: str, match: str, tmp_path: Path) -> None:
    refused(match, settings=write(tmp_path, a__txt=source), template="a")


@pytest.mark.parametrize(
    ("source", "english", "russian"),
    [
        ("{{ photo }}", "UndefinedError: photo: Bytes (8 characters", "UndefinedError: photo: Bytes (длина"),
        ("{{ 'x' * 2 }}", "TemplateError: * is for numbers", "TemplateError: * – только для чисел"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_with_a_template_is_told_in_both_languages(
    source: str, english: str, russian: str, tmp_path: Path
) -> None:
    with pytest.raises(PermanentError) as caught:
        mail(settings=write(tmp_path, a__txt=source), template="a", photo={"type": "Bytes", "value": "UEsDBA=="})
    assert caught.value.text.en.startswith(f"template a.txt: {english}")
    assert caught.value.text.ru.startswith(f"шаблон a.txt: {russian}")


def test_line_ends_that_a_template_puts_into_the_subject_are_refused(tmp_path: Path) -> None:
    settings = write(tmp_path, a__subject__txt="Привет {{ who }}", a__txt="x")
    refused("^subject: ", settings=settings, template="a", who="x\r\nBcc: y@evil.example")


# -- attachments ------------------------------------------------------------------------------------------------------


def attached(got: EmailMessage) -> list[tuple[str | None, str, bytes]]:
    return [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))  # type: ignore[misc]
        for part in got.iter_attachments()
    ]


def test_attachments_come_from_variables_and_from_the_one_folder(tmp_path: Path) -> None:
    (tmp_path / "Отчёты").mkdir()
    (tmp_path / "Отчёты" / "Отчёт №1.pdf").write_bytes(b"%PDF")
    got = mail(
        settings={"attachments_dir": tmp_path},
        attachments=[
            {"name": "Договор.docx", "content": "UEs\nD", "content_type": "application/x-docx"},
            "Отчёты/Отчёт №1.pdf",
            {"file": "Отчёты/Отчёт №1.pdf", "name": "иначе.bin"},
        ],
    )
    assert attached(got) == [
        ("Договор.docx", "application/x-docx", b"PK\x03"),
        ("Отчёт №1.pdf", "application/pdf", b"%PDF"),
        ("иначе.bin", "application/octet-stream", b"%PDF"),
    ]


def test_camunda_sends_lists_and_objects_as_text_too() -> None:
    one = {"name": "a.txt", "content": "eA=="}
    for written in (one, [one], json.dumps(one), json.dumps([one])):
        assert attached(mail(attachments=written)) == [("a.txt", "text/plain", b"x")]


@pytest.mark.parametrize(
    "path",
    [
        *("../secret.txt", "/etc/passwd", "sub/../../secret.txt", "link.txt", "folder-link/secret.txt", "loop", "."),
        *("sub", "missing.txt", "a\nb", "a\0b", "x" * 5000),
    ],
)
def test_no_file_outside_of_the_folder_and_no_folder_is_attached(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("geheim")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "folder-link").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(OutcomeError, match="attachment"):
        mail(settings={"attachments_dir": root}, attachments=[path])


def test_without_a_folder_no_file_is_attached() -> None:
    refused("EMAIL_ATTACHMENTS_DIR is not set", attachments="a.txt")


@pytest.mark.parametrize(
    "attachment",
    [
        {"name": "a", "content": "no base64!"},
        {"name": "a", "content": "YQ"},
        {"name": "a", "content": "я"},
        {"name": "a", "content": 7},
        {"name": "", "content": "eA=="},
        {"content": "eA=="},
        {"name": "a"},
        {"name": "a", "content": "eA==", "content_type": "text"},
        {"name": "a", "content": "eA==", "content_type": "message/rfc822"},
        {"name": "a", "content": "eA==", "content_type": "multipart/mixed"},
        {"name": "x" * 201, "content": "eA=="},
        {"name": "a/", "content": "eA=="},
        {"name": "a", "content": "eA==", "contentType": "text/plain"},
        {"filename": "a", "content": "eA=="},
        {"file": "a", "content": "eA=="},
        7,
        ["a"],
        "{broken",
    ],
)
def test_an_attachment_that_cannot_be_meant_is_refused(attachment: Any) -> None:
    refused("attachment", attachments=[attachment] if not isinstance(attachment, str) else attachment)


def test_a_path_in_the_name_is_left_away() -> None:
    for name in ("../../evil.sh", "C:\\temp\\evil.sh", "/etc/evil.sh"):
        assert attached(mail(attachments=[{"name": name, "content": "eA=="}]))[0][0] == "evil.sh"


def test_all_attachments_together_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 60)
    content = base64.b64encode(b"x" * 60).decode()
    reader = Attachments(tmp_path, 100)
    assert len(reader.read([{"name": "a", "content": content}])) == 1
    for second in ("big", {"name": "b", "content": content}):
        with pytest.raises(PermanentError, match="EMAIL_MAX_ATTACHMENT_BYTES=100"):
            reader.read([{"name": "a", "content": content}, second])
    with pytest.raises(PermanentError, match="51 are given"):
        reader.read(["big"] * 51)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "content", "file", "content_type"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_attached_or_refused(value: Any) -> None:
    try:
        mail(attachments=value)
    except PermanentError:
        return


@given(
    st.dictionaries(
        st.sampled_from(["to", "cc", "bcc", "subject", "body", "body_html", "template", "reply_to", "attachments"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=4
        ),
    )
)
def test_any_variables_make_a_mail_or_a_reason(variables: dict[str, Any]) -> None:
    try:
        mail(**variables)
    except PermanentError:
        return


@pytest.mark.parametrize("field", ["subject", "to", "reply_to", "attachments"])
def test_an_encoded_word_cannot_bring_line_ends_into_a_header(field: str) -> None:
    word = "=?utf-8?q?hi=0D=0ABcc:_e@evil.com=0D=0A=0D=0APHISH?="
    given: dict[str, Any] = {
        "subject": word,
        "to": f"{word} <a@example.com>",
        "reply_to": f"{word} <a@example.com>",
        "attachments": [{"name": f"{word}.pdf", "content": "eA=="}],
    }
    with pytest.raises(PermanentError, match="encoded word"):
        mail(**{field: given[field]})


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 100_000])
@pytest.mark.parametrize("field", ["to", "attachments"])
def test_json_without_a_bottom_is_the_messages_own_fault(field: str, value: str) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(PermanentError):
        mail(**given)


def test_a_file_name_beyond_all_measure_is_the_messages_own_fault(tmp_path: Path) -> None:
    refused("name of a file", settings={"attachments_dir": tmp_path}, attachments="x" * 5000)


# -- what arrives in the headers -------------------------------------------------------------------------------------

WORDS = st.lists(st.text(alphabet="абвгЁж:abc-№«»🙂", min_size=1, max_size=12), min_size=1, max_size=25).map(" ".join)
COMPANY = "Отдел договоров и прочих важных бумаг общества"


@given(WORDS, st.lists(WORDS.map(lambda words: words.replace(":", "ж")[:200].strip()), min_size=1, max_size=4))
def test_a_long_subject_and_long_names_arrive_letter_for_letter(subject: str, names: list[str]) -> None:
    """Judged by the older reader of the standard library, which drops the space between encoded words as it should."""
    subject = subject.strip()
    to = [(name, f"user{number}@example.com") for number, name in enumerate(names)]
    written = ", ".join(f'"{name}" <{address}>' for name, address in to)
    composer = Composer(settings_for(None, Path("/nowhere"), from_name=COMPANY))
    made = task(to=written, subject=subject, body="x")
    content = composer.letter(made, composer.recipients(made), NOW).content
    head = content.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 998, "RFC 5322 2.1.1"
    assert all(len(word) <= 75 for word in re.findall(rb"=\?[^?]*\?.\?[^?]*\?=", head)), "RFC 2047 2"
    mail = message_from_bytes(content)
    assert decoded(mail["Subject"]) == subject
    assert [(decoded(name), address) for name, address in getaddresses([unfolded(mail["To"])])] == to
    assert decoded(getaddresses([unfolded(mail["From"])])[0][0]) == COMPANY


def decoded(header: str) -> str:
    return str(make_header(decode_header(unfolded(header))))


def unfolded(header: str) -> str:
    return re.sub(r"\r?\n(?=[ \t])", "", header)
