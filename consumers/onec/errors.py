"""Says what a refusal of 1C means for the message: five forms of body, one parser, one table.

    {"odata.error": {"code": "9", "message": {"lang": "ru", "value": "…"}}}      OData, also with the key "error"
    <m:error><m:code>-1</m:code><m:message>…                                     the same as XML
    {"#exception": "…", "exception": {"reason": 403, "descr": "…", "inner": {…}}}  the platform, before OData
    <exception reason="406"><descr>…                                             the same as XML
    <html>… 1C:Enterprise 8 application error: …                                 the web server's extension

The status alone is not enough: 403 is a locked infobase or a missing right, 500 a business refusal or a lock conflict.
Codes: the platform's developer guide, 17.4.10; -1 is an exception in the application's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Literal
from xml.etree import ElementTree

from core import values
from core.errors import ConfigurationError, OutageError, OutcomeError, PermanentError, TransientError
from core.texts import Text
from toolkit.http import HttpAnswer
from toolkit.http_outcomes import PROXY_LOGIN, Rule, refusal, refused, rule_of

NAME = Text("1C", "1С")
TEXT_LIMIT = 500  # characters of 1C's own text: the innermost description, never a stack

CODE_NOT_FOUND = "9"
CODE_KEY_EXISTS = "15"
CODE_NO_RIGHT = "20"

_PARSED_LIMIT = 256 * 1024  # bytes of a body that are looked at
_TAG = re.compile(r"<[^>]*>")

Form = Literal["odata", "platform", "page", "other"]


class NotFoundError(PermanentError):
    """There is no object with this key (code 9); a bare 404 never means that."""


class KeyExistsError(PermanentError):
    """An object with this key exists already (code 15)."""


class ChangedError(TransientError):
    """Somebody has changed the object since it was read (412)."""


class SessionLostError(TransientError):
    """The session that should have done it is gone; nothing was executed."""


class RefusalError(Exception):
    """An answer that is not 2xx, before it is judged; `what` names the request for people."""

    def __init__(self, answer: HttpAnswer, what: Text, *, write: bool) -> None:
        super().__init__(f"{what.en}: HTTP {answer.status}")
        self.answer = answer
        self.what = what
        self.write = write


@dataclass(frozen=True, slots=True)
class Problem:
    """A body of a refusal, read. `code` is that of OData."""

    form: Form
    text: str = ""
    code: str | None = None


_RIGHTS = Text(
    "give the rights to the infobase user of ONEC_USERNAME", "дайте права пользователю базы из ONEC_USERNAME"
)
_PUBLICATION = Text(
    "check ONEC_URL and the publication on the web server; a web server also answers so to a query that is too long "
    "for it: lower ONEC_KEYS_PER_QUERY",
    "проверьте ONEC_URL и публикацию на веб-сервере; так же веб-сервер отвечает на слишком длинный запрос: тогда "
    "уменьшите ONEC_KEYS_PER_QUERY",
)
_NOT_EXPOSED = Text(
    "an administrator of 1C must add the object to those that are available over OData",
    "администратору 1С нужно добавить объект в состав стандартного интерфейса OData",
)

STATUS_RULES: Mapping[int, Rule] = {
    401: Rule(
        ConfigurationError, Text("check ONEC_USERNAME and ONEC_PASSWORD", "проверьте ONEC_USERNAME и ONEC_PASSWORD")
    ),
    403: Rule(ConfigurationError, _RIGHTS),
    404: Rule(ConfigurationError, _PUBLICATION),
    405: Rule(
        ConfigurationError, Text("the publication does not allow this method", "публикация не допускает этот метод")
    ),
    406: Rule(SessionLostError),
    407: Rule(ConfigurationError, PROXY_LOGIN),
    408: Rule(TransientError),
    412: Rule(ChangedError),
    414: Rule(
        ConfigurationError,
        Text(
            "the query is too long for the web server: lower ONEC_KEYS_PER_QUERY",
            "запрос слишком длинный для веб-сервера: уменьшите ONEC_KEYS_PER_QUERY",
        ),
    ),
    425: Rule(TransientError),
    429: Rule(TransientError),
    502: Rule(OutageError),
    503: Rule(OutageError),
}

CODE_RULES: Mapping[str, Rule] = {
    **{str(code): Rule(PermanentError) for code in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 18, 21)},
    "8": Rule(ConfigurationError, _NOT_EXPOSED),
    CODE_NOT_FOUND: Rule(NotFoundError),
    CODE_KEY_EXISTS: Rule(KeyExistsError),
    "19": Rule(
        ConfigurationError,
        Text("this object does not take this method over OData", "этот объект не поддерживает такой метод через OData"),
    ),
    CODE_NO_RIGHT: Rule(ConfigurationError, _RIGHTS),
    # Mostly a refusal of the application's own checks, but it cannot be told from a passing fault: the attempts decide.
    "-1": Rule(TransientError),
}

_FOR_AN_ADMINISTRATOR = Text("the infobase cannot be used at the moment", "работать с базой сейчас нельзя")
_NO_LICENCE = re.compile("не обнаружено свободной лиценз|ключ защиты программы|no free licen[cs]e")
# Also the words of many a business refusal (of a trader without a licence, say): heard only from the platform itself.
_NO_LICENCE_OF_THE_PLATFORM = re.compile("не найдена лицензия|licen[cs]e not found")
_LOCKED = re.compile("начало сеанса.*запрещено|технически[ех] работ", re.DOTALL)
# The web server's extension answers, and the cluster behind it does not.
_UNREACHABLE = re.compile("ошибк[аи] сетевого доступа к серверу|server_addr=|сервер 1с:предприятия не обнаружен")
_NO_SPACE = re.compile("no space left on device")
_SESSION = re.compile("истекло время ожидания сеанса|сеанс отсутствует или удален")
_LOCKS = re.compile(
    "конфликт блокировок|превышен.{0,60}время ожидания.{0,60}блокировк|взаимоблокировк|deadlock", re.DOTALL
)


def outcome_of(error: RefusalError) -> OutcomeError:
    """Return what a refusal by 1C, or by what stands before it, means for the message."""
    status = error.answer.status
    problem = read_problem(error.answer.body)
    rule = _rule(status, problem, write=error.write)
    told = Text.of(f"HTTP {status}")
    if problem.code:
        told = Text(f"{told.en}, code {problem.code}", f"{told.ru}, код {problem.code}")
    reason = refused(NAME, error.what, told)
    code = f"odata_{problem.code}" if problem.code else f"http_{status}"
    return refusal(rule, reason, text=problem.text, code=code, retry_after=error.answer.retry_after)


def _rule(status: int, problem: Problem, *, write: bool) -> Rule:
    text = problem.text.casefold().replace("ё", "е")
    is_platform = problem.form in {"platform", "page"}
    if (
        _NO_LICENCE.search(text)
        or _NO_SPACE.search(text)
        or (is_platform and any(each.search(text) for each in (_LOCKED, _NO_LICENCE_OF_THE_PLATFORM, _UNREACHABLE)))
        or problem.form == "page"
    ):
        return Rule(OutageError, _FOR_AN_ADMINISTRATOR)
    if _SESSION.search(text):
        return Rule(SessionLostError)
    if _LOCKS.search(text):
        return Rule(TransientError)  # the transaction was rolled back
    # 401 with code 20 is a right, too, not the password (developer guide 8.3.27, 17.4.5.4).
    is_about_the_code = status not in {401, 406, 412} or (status == 401 and problem.code == CODE_NO_RIGHT)
    if problem.code is not None and is_about_the_code and problem.code in CODE_RULES:
        return CODE_RULES[problem.code]
    if status == 500 and problem.form != "other":
        return Rule(TransientError)  # the exception has rolled back what was begun
    return rule_of(status, STATUS_RULES, write=write, is_theirs=problem.form != "other")


def read_problem(body: bytes) -> Problem:
    """Read a body, whatever the form is; one that is none of the five has the form "other" and no text."""
    text = body[:_PARSED_LIMIT].decode("utf-8-sig", "replace").strip()
    if text.startswith("{"):
        return _of_json(text)
    if text[:200].casefold().startswith(("<!doctype html", "<html")) or "1C:Enterprise 8 application error" in text:
        return _of_page(text)
    if text.startswith("<"):
        return _of_xml(text)
    return Problem("other")


def _of_json(text: str) -> Problem:
    try:
        body = json.loads(text, strict=False)  # a description with a line break in it is one, too
    except (ValueError, RecursionError):
        return Problem("other")
    if isinstance(exception := body.get("exception"), Mapping):
        return Problem("platform", _shown(_innermost(exception)))
    error = body.get("odata.error", body.get("error"))
    if not isinstance(error, Mapping):
        return Problem("other")
    message = error.get("message")
    if isinstance(message, Mapping):
        message = message.get("value")
    code = error.get("code")
    known = isinstance(code, str | int) and not isinstance(code, bool) and str(code).strip()
    return Problem("odata", _shown(str(message or "")), str(code).strip()[:50] if known else None)


def _innermost(exception: Mapping[str, Any]) -> str:
    found = ""
    current: Any = exception
    while isinstance(current, Mapping):
        if isinstance(descr := current.get("descr"), str) and descr.strip():
            found = descr
        current = current.get("inner")
    return found


def _of_xml(text: str) -> Problem:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Problem("other")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
    except ElementTree.ParseError:
        return Problem("other")
    texts = dict(_texts(root))
    match _name(root):
        case "error":
            return Problem("odata", _shown(texts.get("message", "")), texts.get("code", "")[:50] or None)
        case "exception":
            return Problem("platform", _shown(texts.get("descr", "")))
    return Problem("other")


def _texts(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield the texts in the order of the document: of nested descriptions the innermost comes last."""
    for element in root.iter():
        if element.text and element.text.strip():
            yield _name(element), element.text.strip()


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _of_page(text: str) -> Problem:
    plain = " ".join(unescape(_TAG.sub(" ", text)).split())
    begin = plain.find("1C:Enterprise")
    return Problem("page", _shown(plain[begin:])) if begin >= 0 else Problem("other")


def _shown(text: str) -> str:
    return values.cut_words(text.strip(), TEXT_LIMIT)
