"""Reads JSON answers as servers write them: what has one reading is read and noted, what has two is refused by name.

Read, with a note for the result: raw control characters inside texts (RFC 8259, 7 wants them escaped), the charset
that the header names where the bytes are no UTF-8, UTF-16 and UTF-32 (8.1), an object that was written as JSON twice,
`null` for no result, half a surrogate pair, a name that stands twice in one object (4: the last one counts).
Read without one, since nothing can be meant but what stands there: a byte order mark, white space around it, nothing.
Refused: numbers that JSON does not have (6), nesting that cannot be written again, anything that is no object.
In doubt: what breaks off in the middle, which may have been torn on its way.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from core import values
from core.errors import AmbiguousError, PermanentError
from core.texts import BilingualError, Text
from toolkit.http import HttpAnswer

_TOO_DEEP = Text("it is nested too deeply", "он вложен слишком глубоко")
_DEEPEST = 500  # levels; what wraps a result must still be read and written by Python, which gives up at 1,000
_CHARSET = re.compile(r'charset\s*=\s*"?([\w.:+-]+)', re.IGNORECASE)
# UTF-8 has been tried, and these of Python's codecs are no charset of a text.
_NOT_ANOTHER = {"utf_8", "idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"}


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A JSON answer that was read. `content` is the object, None when there is none that can be read.

    `problem` says why there is none, or why it cannot be a result; `notes` what was read although it is not written as
    it should be. `is_json`: the answering program speaks JSON, so it is no page of something in between. `is_empty`:
    nothing was said, or null; the object is an empty one then.
    """

    content: dict[str, Any] | None
    notes: tuple[Text, ...] = ()
    problem: Text | None = None
    is_json: bool = False
    is_empty: bool = False


def read_answer(answer: HttpAnswer) -> JsonAnswer:
    """Read an answer. Never raises."""
    media_type = str(answer.headers.get("Content-Type") or "")
    calls_itself_json = "json" in media_type.lower()
    if not answer.body.removeprefix(codecs.BOM_UTF8).strip():
        return JsonAnswer({}, is_json=calls_itself_json, is_empty=True)
    reader = _Reader()
    try:
        value = reader.read(answer.body, media_type)
    except _UnreadableError as error:
        # What breaks off was torn on its way as likely as not: the whole answer may say something else.
        return JsonAnswer(None, (), error.text, calls_itself_json and not error.is_torn)
    if value is None:
        nothing = Text("the answer was null: there is no result", "ответ – null: результата нет")
        return JsonAnswer({}, (nothing,), is_json=True, is_empty=True)
    if not isinstance(value, dict):
        kind = _kind(value)
        problem = Text(f"it is {kind.en}, not an object", f"это {kind.ru}, а не объект")
        return JsonAnswer(None, tuple(reader.notes), problem, is_json=True)
    return JsonAnswer(value, tuple(reader.notes), reader.flaw, is_json=True)


def result_of(answer: HttpAnswer, who: Text) -> tuple[dict[str, Any], tuple[Text, ...]]:
    """Return the result in an answer of success, and the notes on it; `who` names the server.

    Raises PermanentError when the server itself has said something that cannot be used: its work is done, and doing it
    again would bring the same. AmbiguousError when something in between may have answered, a log-in page for example.
    """
    read = read_answer(answer)
    problem = read.problem
    if read.content is not None and problem is None:
        return read.content, read.notes
    why = problem or Text("", "")
    if read.is_json:
        reason = Text(
            f"{who.en} answered HTTP {answer.status}, so its work is done, but its answer cannot be used: {why.en}",
            f"{who.ru}: ответ HTTP {answer.status}, работа сделана, но ответ использовать нельзя: {why.ru}",
        )
        raise PermanentError(reason, code="bad_result")
    reason = Text(
        f"{who.en} answered HTTP {answer.status} without a JSON object: {why.en}",
        f"{who.ru}: ответ HTTP {answer.status} без объекта JSON: {why.ru}",
    )
    raise AmbiguousError(reason, code="no_json")


class _UnreadableError(BilingualError):
    def __init__(self, text: Text, *, is_torn: bool = False) -> None:
        super().__init__(text)
        self.is_torn = is_torn


@dataclass(slots=True)
class _Reader:
    notes: list[Text] = field(default_factory=list)
    flaw: Text | None = None  # why what was read cannot be handed on

    def read(self, body: bytes, media_type: str) -> Any:
        """Return the value in a body. Raises _UnreadableError that says why it is no JSON."""
        value = self._parsed(self._decoded(body, media_type))
        if isinstance(value, str):
            value = self._unwrapped(value)
        if _is_deep(value):
            self.flaw = Text(f"it is nested deeper than {_DEEPEST} levels", f"вложенность больше {_DEEPEST} уровней")
            return value
        return self._without_halves(value)

    def _unwrapped(self, text: str) -> Any:
        try:
            value = self._parsed(text)
        except _UnreadableError:
            return text
        if not isinstance(value, dict):
            return text
        self._note(
            Text(
                "the answer was written as JSON twice: an object as a text",
                "ответ записан в JSON дважды: объект в виде текста",
            )
        )
        return value

    def _decoded(self, body: bytes, media_type: str) -> str:
        encoding = json.detect_encoding(body)
        if not encoding.startswith("utf-8"):
            return self._of_charset(body, encoding, Text("which it looks like", "на который похож"))
        try:
            return body.decode(encoding)
        except UnicodeDecodeError as error:
            byte, place = f"0x{body[error.start]:02x}", error.start
        named = _CHARSET.search(media_type)
        codec = _codec(named[1]) if named else None
        if codec is None:
            raise _UnreadableError(
                Text(
                    f"it is not UTF-8 (byte {byte} at offset {place}) and names no other charset",
                    f"он не в UTF-8 (байт {byte} на месте {place}), а другая кодировка не названа",
                )
            )
        return self._of_charset(body, codec, Text("which its header says", "который назван в заголовке"))

    def _of_charset(self, body: bytes, codec: str, why: Text) -> str:
        try:
            text = body.decode(codec)
        except UnicodeError:
            raise _UnreadableError(
                Text(f"it is neither UTF-8 nor {codec}, {why.en}", f"он не в UTF-8 и не в {codec}, {why.ru}")
            ) from None
        self._note(
            Text(
                f"the answer was not in UTF-8, as JSON should be, but in {codec}",
                f"ответ в кодировке {codec}, а не в UTF-8, как положено для JSON",
            )
        )
        return text

    def _parsed(self, text: str) -> Any:
        try:
            return self._decoder(strict=True).decode(text)
        except json.JSONDecodeError:
            pass
        except RecursionError:
            raise _UnreadableError(_TOO_DEEP) from None
        self.flaw = None
        try:
            value = self._decoder(strict=False).decode(text)
        except json.JSONDecodeError as error:
            raise _UnreadableError(
                Text(
                    f"it is not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
                    f"это не JSON: {error.msg} (строка {error.lineno}, столбец {error.colno})",
                ),
                is_torn=0 < len(text.rstrip()) <= error.pos or error.msg.startswith("Unterminated"),
            ) from None
        except RecursionError:
            raise _UnreadableError(_TOO_DEEP) from None
        self._note(
            Text(
                "texts of the answer hold line breaks or other control characters that JSON wants escaped",
                "в текстах ответа есть переводы строк или другие управляющие символы, которые в JSON экранируются",
            )
        )
        return value

    def _decoder(self, *, strict: bool) -> json.JSONDecoder:
        return json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._no_number,
            parse_float=self._float,
            parse_int=self._int,
            strict=strict,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = repr(next(name for name in members if names.count(name) > 1)[:100])
            self._note(
                Text(
                    f"{twice} stood in one object of the answer more than once: the last one counts",
                    f"{twice} встречается в одном объекте ответа не один раз: взято последнее значение",
                )
            )
        return members

    def _no_number(self, name: str) -> None:
        self.flaw = Text(f"it holds {name}, which is no number in JSON", f"в нём {name}, в JSON такого числа нет")

    def _float(self, text: str) -> float | None:
        number = float(text)
        if math.isfinite(number):
            return number
        self.flaw = Text(
            f"it holds the number {text[:50]}, which is too large", f"в нём число {text[:50]}, оно слишком велико"
        )
        return None

    def _int(self, text: str) -> int | None:
        try:
            return int(text)
        except ValueError:  # beyond sys.get_int_max_str_digits()
            self.flaw = Text(f"it holds a number of {len(text)} digits", f"в нём число, цифр в нём {len(text)}")
            return None

    def _without_halves(self, value: Any) -> Any:
        if isinstance(value, str):
            whole = values.without_halves(value)
            if whole != value:
                self._note(
                    Text(
                        "half of a character (a lone surrogate) in the answer became \N{REPLACEMENT CHARACTER}",
                        "половина символа (одиночный суррогат) в ответе заменена на \N{REPLACEMENT CHARACTER}",
                    )
                )
            return whole
        if isinstance(value, dict):
            return {self._without_halves(name): self._without_halves(each) for name, each in value.items()}
        return [self._without_halves(each) for each in value] if isinstance(value, list) else value

    def _note(self, text: Text) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _codec(name: str) -> str | None:
    """Return the name of a charset other than UTF-8; None when there is none of that name."""
    try:
        found = codecs.lookup(name)
        "".encode(found.name)  # raises for codecs that are not for texts
    except (LookupError, UnicodeError):
        return None
    return None if found.name.replace("-", "_") in _NOT_ANOTHER else found.name


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _kind(value: Any) -> Text:
    if isinstance(value, bool):
        return Text("true or false", "true или false")
    if isinstance(value, str | list):
        return Text("a text", "текст") if isinstance(value, str) else Text("a list", "список")
    return Text("a number", "число")
