"""Reads `parse_mode=MarkdownV2`, and the legacy `Markdown`, as Telegram does.

Source: core.telegram.org/bots/api#markdownv2-style; tdlib/td 022d6020, td/telegram/MessageEntity.cpp
(parse_markdown_v2, parse_markdown) and its cases in test/message_entities.cpp. Left out: tg://time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.telegram.errors import ApiError
from sandbox.telegram.html_markup import unparsable
from sandbox.telegram.links import checked, user_of
from sandbox.telegram.units import Entity, byte, in_order, units

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!\n")
# mark -> kind; the longer ones are tried first
_MARKS = {"__": "Underline", "||": "Spoiler", "![": "CustomEmoji", "_": "Italic", "*": "Bold", "~": "Strikethrough"}
_ENDS = {
    "Underline": "__",
    "Spoiler": "||",
    "CustomEmoji": "]",
    "Italic": "_",
    "Bold": "*",
    "Strikethrough": "~",
    "TextUrl": "]",
    "Code": "`",
    "Pre": "```",
    "PreCode": "```",
}
_TYPES = {
    "Underline": "underline",
    "Spoiler": "spoiler",
    "CustomEmoji": "custom_emoji",
    "Italic": "italic",
    "Bold": "bold",
    "Strikethrough": "strikethrough",
    "TextUrl": "text_link",
    "Code": "code",
    "Pre": "pre",
    "PreCode": "pre",
    "BlockQuote": "blockquote",
}
_RAW = frozenset({"Code", "Pre", "PreCode"})
_LANGUAGE = re.compile(r"[^\s`]*")
_FIRST_LINE = re.compile(r"\r\n|\n\r|\n|\r")
_EMOJI = re.compile(r"tg:(?://)?emoji/?\?(?:[^#]*&)?id=([1-9][0-9]*)(?:[&#].*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Opened:
    kind: str
    at: int  # in the source
    offset: int  # in units
    begins: int  # in the pieces of text
    language: str = ""


class _MarkdownV2:
    def __init__(self, source: str) -> None:
        self.source = source
        self.text: list[str] = []
        self.length = 0
        self.entities: list[Entity] = []
        self._opened: list[_Opened] = []
        self._may_quote = True  # at the beginning of a line
        self._is_quoting = False
        self._at = 0

    def parse(self) -> None:
        while self._at < len(self.source):
            character = self.source[self._at]
            following = self.source[self._at + 1 : self._at + 2]
            if character == "\\" and following and "\0" < following <= "~":
                self._write(following)
                self._may_quote = False
                self._at += 2
            elif not self._is_reserved(character):
                self._write(character)
                self._may_quote = self._may_quote and character == "\r"
                self._at += 1
            elif self._is_quoting and character == "\n" and not self._is_raw() and following != ">":
                self._end_quote()
                self._write("\n")
                self._finish_quote()
                self._at += 1
            elif not self._closes():
                self._begin(character)
        self._end()

    def _is_raw(self) -> bool:
        return bool(self._opened) and self._opened[-1].kind in _RAW

    def _is_reserved(self, character: str) -> bool:
        return character == "`" if self._is_raw() else character in _RESERVED

    def _write(self, character: str) -> None:
        self.text.append(character)
        self.length += units(character)

    # -- beginnings ---------------------------------------------------------------------------------------------

    def _begin(self, character: str) -> None:
        if character == "\n":
            self._write("\n")
            self._may_quote = True
            self._at += 1
        elif character == ">":
            self._begin_quote()
        elif character == "[":
            self._open("TextUrl", "[")
        elif character == "`":
            self._begin_code()
        else:
            mark = next((mark for mark in _MARKS if self.source.startswith(mark, self._at)), None)
            if mark is None:
                raise self._reserved(character)
            self._open(_MARKS[mark], mark)

    def _begin_quote(self) -> None:
        if not self._may_quote:
            raise self._reserved(">")
        if self._is_quoting:
            self._at += 1
            return
        self._is_quoting = True
        self._open("BlockQuote", ">")

    def _begin_code(self) -> None:
        if not self.source.startswith("```", self._at):
            self._open("Code", "`")
            return
        begins = self._at + 3
        found = _LANGUAGE.match(self.source, begins)
        language = found[0] if found else ""
        after = begins + len(language)
        has_language = bool(language) and self.source[after : after + 1].isspace()
        at = after if has_language else begins
        line = _FIRST_LINE.match(self.source, at)
        self._opened.append(
            _Opened(
                "PreCode" if has_language else "Pre",
                self._at,
                self.length,
                len(self.text),
                language if has_language else "",
            )
        )
        self._at = line.end() if line else at

    def _open(self, kind: str, mark: str) -> None:
        self._opened.append(_Opened(kind, self._at, self.length, len(self.text)))
        self._at += len(mark)

    # -- ends ---------------------------------------------------------------------------------------------------

    def _closes(self) -> bool:
        """Closes the innermost entity if that is what stands here."""
        if not self._opened or self._opened[-1].kind == "BlockQuote":
            return False
        opened = self._opened[-1]
        end = _ENDS[opened.kind]
        is_underline = self.source.startswith("__", self._at)
        if not self.source.startswith(end, self._at) or (opened.kind == "Italic" and is_underline):
            return False
        self._opened.pop()
        self._at += len(end)
        if opened.kind == "TextUrl":
            self._add_link(opened)
        elif opened.kind == "CustomEmoji":
            self._add_emoji(opened)
        else:
            self._add(opened, **({"language": opened.language} if opened.language else {}))
        return True

    def _add_link(self, opened: _Opened) -> None:
        url = self._address() if self.source.startswith("(", self._at) else "".join(self.text[opened.begins :])
        if (user := user_of(url)) is not None:
            self._add(opened, type="text_mention", user=user)
        elif (link := checked(url)) is not None:
            self._add(opened, url=link)

    def _add_emoji(self, opened: _Opened) -> None:
        if not self.source.startswith("(", self._at):
            raise unparsable("The entity must contain a tg://emoji or tg://time URL")
        found = _EMOJI.fullmatch(self._address())
        if found is None:
            raise unparsable("Invalid tg://emoji or tg://time URL specified")
        self._add(opened, custom_emoji_id=found[1])

    def _address(self) -> str:
        begins = self._at + 1
        address, at = [], begins
        while at < len(self.source) and self.source[at] != ")":
            if self.source[at] == "\\" and at + 1 < len(self.source) and self.source[at + 1] <= "~":
                at += 1
            address.append(self.source[at])
            at += 1
        if at == len(self.source):
            raise unparsable(f"Can't find end of a URL at byte offset {byte(self.source, begins)}")
        self._at = at + 1
        return "".join(address)

    def _add(self, opened: _Opened, **more: object) -> None:
        if self.length > opened.offset:
            place = {"offset": opened.offset, "length": self.length - opened.offset}
            self.entities.append({"type": _TYPES[opened.kind], **place, **more})

    def _end_quote(self) -> None:
        """What is open inside ends with it; `||` at its very end makes it expandable."""
        innermost = self._opened[-1]
        end = len(self.source[: self._at].rstrip("\r"))
        if innermost.kind == "Spoiler" and innermost.at == end - 2:
            self._opened.pop()
            self._quote_type = "expandable_blockquote"
        else:
            self._quote_type = "blockquote"
        if self._opened[-1].kind != "BlockQuote":
            raise self._unended(self._opened[-1])

    def _finish_quote(self) -> None:
        self._add(self._opened.pop(), type=self._quote_type)
        self._is_quoting = False
        self._may_quote = True

    def _end(self) -> None:
        if self._is_quoting and self._opened[-1].kind in {"BlockQuote", "Spoiler"}:
            self._end_quote()
            self._finish_quote()
        if self._opened:
            raise self._unended(self._opened[-1])

    def _unended(self, opened: _Opened) -> ApiError:
        return unparsable(f"Can't find end of {opened.kind} entity at byte offset {byte(self.source, opened.at)}")

    @staticmethod
    def _reserved(character: str) -> ApiError:
        return unparsable(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")


def parse_markdown_v2(source: str) -> tuple[str, list[Entity]]:
    """Raises ApiError."""
    parser = _MarkdownV2(source)
    parser.parse()
    return "".join(parser.text), in_order(parser.entities)


_LEGACY = {"_": "italic", "*": "bold", "`": "code", "```": "pre", "[": "text_link"}


def parse_markdown(source: str) -> tuple[str, list[Entity]]:
    """The legacy form: nothing is nested, only `_ * ` [` are special. Raises ApiError."""
    text, entities, at = "", [], 0
    while at < len(source):
        if source[at] == "\\" and source[at + 1 : at + 2] in tuple("_*`["):
            text, at = text + source[at + 1], at + 2
            continue
        mark = "```" if source.startswith("```", at) else source[at]
        if mark not in _LEGACY:
            text, at = text + source[at], at + 1
            continue
        end = "]" if mark == "[" else mark
        inside_at = at + len(mark)
        until = source.find(end, inside_at)
        if until < 0:
            raise unparsable(f"Can't find end of the entity starting at byte offset {byte(source, at)}")
        entity: Entity = {"type": _LEGACY[mark], "offset": units(text)}
        inside = source[inside_at:until]
        at = until + len(end)
        if mark == "[":
            address = re.compile(r"\(([^)]*)\)").match(source, at)
            link = checked(address[1] if address else inside)
            at = address.end() if address else at
            entity |= {"url": link}
        text += inside
        if inside and entity.get("url", "") is not None:
            entities.append({**entity, "length": units(inside)})
    return text, in_order(entities)
