"""Turns a task into what is sent: which chats, which parts, with which options. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from consumers.telegram.chats import chats_of
from consumers.telegram.config import TelegramSettings
from consumers.telegram.markup import Rich, Run, Tag, parse, plain
from consumers.telegram.names import CHATS, FLAGS, PREVIEW, TEXTS, THREAD, TITLES, unused
from consumers.telegram.text import fitting, split, truncate, units
from core import values
from core.errors import PermanentError
from core.inputs import Inputs
from core.messages import CamundaTask
from core.texts import Text

MOST_PARTS = 20  # a longer text is a document, and would keep its chat busy for minutes

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")
_LINE_END = re.compile("\r\n|[\r\u2028\u2029]")  # Telegram drops the last three, and would join the words
_NAMES_SHOWN = 20
_MOST_FILLED = 1_000_000  # characters


@dataclass(frozen=True, slots=True)
class Draft:
    """One message of the process: every chat gets every part. `warnings` are for its result."""

    chats: tuple[str, ...]
    parts: tuple[Rich, ...]
    options: Mapping[str, Any]
    warnings: tuple[Text, ...] = ()


MOST_CHATS = 100  # of one message; its thread serves no other meanwhile


class MessageFields:
    def __init__(self, settings: TelegramSettings) -> None:
        self._default_chats = settings.chat_id
        self._cut = split if settings.overflow == "split" else truncate
        self._link_preview = settings.link_preview

    def draft(self, task: CamundaTask) -> Draft:
        """Return the message to send. Raises PermanentError when something is missing or makes no sense."""
        inputs = Inputs(task)
        template = _Template(inputs)
        text = _text(inputs, template)
        parts = self.parts(text)
        chats, options = self._chats(inputs), self._options(inputs)
        warnings = (*self._missing(text, parts), *unused(inputs, task.topic, template.used))
        return Draft(chats, parts, options, (*warnings, *inputs.empty_dates()))  # these last: of all that was asked for

    def parts(self, text: Rich) -> tuple[Rich, ...]:
        parts = tuple(islice(fitting(text, self._cut), MOST_PARTS + 1))
        if len(parts) > MOST_PARTS:
            count = units(plain(text))
            raise _too_long(
                Text(
                    f"The text has {count} characters, more than {MOST_PARTS} messages hold",
                    f"Символов в тексте: {count}, столько не вмещают и {MOST_PARTS} сообщений",
                )
            )
        return parts

    def _missing(self, text: Rich, parts: tuple[Rich, ...]) -> Iterator[Text]:
        whole, kept = plain(text).strip(), plain(parts[0])
        if self._cut is truncate and units(kept) < units(whole):
            yield Text(
                f"the text has {len(whole)} characters and was cut to {len(kept)} (TELEGRAM_OVERFLOW=truncate)",
                f"символов в тексте: {len(whole)}, обрезано до {len(kept)} (TELEGRAM_OVERFLOW=truncate)",
            )

    def _chats(self, inputs: Inputs) -> tuple[str, ...]:
        name, value = inputs.first(*CHATS) or ("TELEGRAM_CHAT_ID", self._default_chats)
        chats = chats_of(name, value) if value is not None else ()
        if not chats:
            text = Text(
                "The message names no chat: give it in chat_id, or one for all in TELEGRAM_CHAT_ID",
                "В сообщении не назван чат: укажите его в chat_id или один для всех в TELEGRAM_CHAT_ID",
            )
            raise PermanentError(text, code="no_chat")
        if len(chats) > MOST_CHATS:
            text = Text(
                f"The message names {len(chats)} chats, {MOST_CHATS} are allowed: let the process send several",
                f"Чатов в сообщении: {len(chats)}, разрешено {MOST_CHATS}: пусть процесс отправит несколько сообщений",
            )
            raise PermanentError(text, code="too_many_chats")
        return chats

    def _options(self, inputs: Inputs) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if thread := inputs.first(THREAD):
            options[THREAD] = values.identifier(*thread)
        for name in FLAGS:
            if (given := inputs.first(name)) and values.flag(*given):
                options[name] = True
        preview = inputs.first(PREVIEW)
        if not (values.flag(*preview) if preview else self._link_preview):
            options["link_preview_options"] = {"is_disabled": True}
        return options


def _text(inputs: Inputs, template: _Template) -> Rich:
    title = inputs.text(*TITLES)
    source = inputs.text("text_html")
    body = parse(_with_newlines(source), template.filled) if source else _plain_body(inputs)
    heading = (Run(_with_newlines(title), (Tag("b"),)),) if title else ()
    gap = (Run("\n\n"),) if heading and body else ()
    whole = (*heading, *gap, *body)
    if not plain(whole).strip():
        problem = Text(
            "The message has no text: give it in text, or as HTML in text_html",
            "В сообщении нет текста: укажите его в text или, как HTML, в text_html",
        )
        raise PermanentError(problem, code="no_text")
    return whole


def _plain_body(inputs: Inputs) -> Rich:
    text = inputs.text(*TEXTS)
    return (Run(_with_newlines(text)),) if text else ()


def _with_newlines(text: str) -> str:
    return _LINE_END.sub("\n", text)


class _Template:
    """Fills `{name}` with the value of that name; `{{` and `}}` become braces, any other brace stays."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._sources = (inputs.variables, inputs.extensions, inputs.parameters)
        self._filled = 0
        self.used: set[str] = set()  # names that stand in the text

    def filled(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        value = _with_newlines(self._value(found[1]))
        self._filled += len(value)
        if self._filled > _MOST_FILLED:  # a small message can ask for a large value very often
            raise _too_long(
                Text(
                    f"The values in text_html have more than {_MOST_FILLED} characters",
                    f"Значения в text_html вместе длиннее {_MOST_FILLED} символов",
                )
            )
        return value

    def _value(self, name: str) -> str:
        self.used.add(name)
        if (given := self._inputs.first(name)) is not None:
            return values.text(given[1])
        if any(name in source for source in self._sources):
            return ""
        known = sorted({key for source in self._sources for key in source} - {"text_html"})
        missing, there = values.cut_characters(name, 100), values.cut_characters(", ".join(known[:_NAMES_SHOWN]), 500)
        problem = Text(
            f"text_html: there is no value for {{{missing}}}; there are: {there or 'none'} "
            "(a brace itself is written {{ or }})",
            f"text_html: для {{{missing}}} нет значения; есть: {there or 'никаких'} "
            "(сама фигурная скобка пишется {{ или }})",
        )
        raise PermanentError(problem, code="no_such_value")


def _too_long(problem: Text) -> PermanentError:
    text = Text(
        f"{problem.en}: shorten it, or set TELEGRAM_OVERFLOW=truncate",
        f"{problem.ru}: сократите текст или задайте TELEGRAM_OVERFLOW=truncate",
    )
    return PermanentError(text, code="text_too_long")
