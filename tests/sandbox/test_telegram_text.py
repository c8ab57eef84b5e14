"""The sandbox reads a text as Telegram does, whichever way it is marked up.

The cases are facts of Telegram's own library (tdlib/td 022d6020, test/message_entities.cpp and the functions that it
tests) and server (tdlib/telegram-bot-api 01a3679c, Client.cpp).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.telegram.errors import ApiError
from sandbox.telegram.formatting import finished, read
from sandbox.telegram.html_markup import parse_html
from sandbox.telegram.links import checked
from sandbox.telegram.markdown import parse_markdown, parse_markdown_v2
from sandbox.telegram.units import units

ANNA = {"id": 12, "is_bot": False, "first_name": "Анна"}


def told(entities: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Type, offset, length, and what else there is."""
    return [tuple(each.values()) for each in entities]


def refusal(read_markup: Any, source: str) -> str:
    with pytest.raises(ApiError) as caught:
        read_markup(source)
    return caught.value.description.removeprefix("Bad Request: can't parse entities: ")


# -- MarkdownV2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", list("]()>#+-=|{}.!"))
def test_reserved_characters_are_escaped_or_refused(character: str) -> None:
    reserved = f"Character '{character}' is reserved and must be escaped with the preceding '\\'"
    assert refusal(parse_markdown_v2, f"a{character}") == reserved
    assert parse_markdown_v2(f"a\\{character}") == (f"a{character}", [])


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("🏟_a \\* b _", "🏟a * b ", [("italic", 2, 6)]),
        ("_a_*b*", "ab", [("italic", 0, 1), ("bold", 1, 1)]),
        ("_a *b*_", "a b", [("italic", 0, 3), ("bold", 2, 1)]),
        ("_a __b___", "a b", [("italic", 0, 3), ("underline", 2, 1)]),
        ("__a _b_ __", "a b ", [("underline", 0, 4), ("italic", 2, 1)]),
        ("||a|| ~b~", "a b", [("spoiler", 0, 1), ("strikethrough", 2, 1)]),
        ("****", "", []),
        ("`a*b`", "a*b", [("code", 0, 3)]),
        ("```ts\nx```", "x", [("pre", 0, 1, "ts")]),
        ("```ts\r\nx```", "x", [("pre", 0, 1, "ts")]),
        ("```\n\nx```", "\nx", [("pre", 0, 2)]),
        ("```x```", "x", [("pre", 0, 1)]),
        ("``````", "", []),
        ("[a](telegram.org)", "a", [("text_link", 0, 1, "http://telegram.org/")]),
        ("[telegram\\.org]b", "telegram.orgb", [("text_link", 0, 12, "http://telegram.org/")]),
        ("[a](https://t.org?\\\\\\))", "a", [("text_link", 0, 1, "https://t.org/?\\)")]),
        ("[a](portal)", "a", []),
        ("[a](tg://user?id=12)", "a", [("text_mention", 0, 1, ANNA)]),
        ("![👍](tg://emoji?id=25)", "👍", [("custom_emoji", 0, 2, "25")]),
        (">a\n>b\nc", "a\nb\nc", [("blockquote", 0, 4)]),
        ("c\n>a", "c\na", [("blockquote", 2, 1)]),
        (">a\n**>b", "a\nb", [("blockquote", 0, 2), ("blockquote", 2, 1)]),
        (">*a\n>b*\nc", "a\nb\nc", [("blockquote", 0, 4), ("bold", 0, 3)]),
        (">a||b||||\nc", "ab\nc", [("expandable_blockquote", 0, 3), ("spoiler", 1, 1)]),
        (">a||b||", "ab", [("blockquote", 0, 2), ("spoiler", 1, 1)]),
        (">a||", "a", [("expandable_blockquote", 0, 1)]),
        (">`a\n>b`", "a\n>b", [("blockquote", 0, 4), ("code", 0, 4)]),
        ("\\a\\я\\", "a\\я\\", []),
        ("", "", []),
    ],
)
def test_markdown_v2_is_read(source: str, text: str, entities: list[Any]) -> None:
    read_text, read_entities = parse_markdown_v2(source)
    assert (read_text, told(read_entities)) == (text, entities)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("🏟 🏟_abacaba", "Can't find end of Italic entity at byte offset 9"),
        ("🏟 🏟_a * b ", "Can't find end of Bold entity at byte offset 12"),
        ("🏟`", "Can't find end of Code entity at byte offset 4"),
        ("🏟```", "Can't find end of Pre entity at byte offset 4"),
        ("🏟```a ", "Can't find end of PreCode entity at byte offset 4"),
        ("🏟__🏟_", "Can't find end of Italic entity at byte offset 10"),
        ("🏟||a\\|", "Can't find end of Spoiler entity at byte offset 4"),
        ("[a](b\\)", "Can't find end of a URL at byte offset 4"),
        ("![👍]", "The entity must contain a tg://emoji or tg://time URL"),
        ("![👍](https://a.org)", "Invalid tg://emoji or tg://time URL specified"),
        (">*a\nb*", "Can't find end of Bold entity at byte offset 1"),
        ("a>", "Character '>' is reserved and must be escaped with the preceding '\\'"),
    ],
)
def test_a_mistake_in_markdown_v2_is_told_with_its_place(source: str, problem: str) -> None:
    assert refusal(parse_markdown_v2, source) == problem


@given(st.text(alphabet="ab_*~|`[]()!>\\\n\r.я🏟", max_size=30))
def test_any_markdown_v2_is_read_or_refused(source: str) -> None:
    with suppress(ApiError):
        text, entities = parse_markdown_v2(source)
        assert all(0 <= each["offset"] < each["offset"] + each["length"] <= units(text) for each in entities)


def test_the_legacy_markdown_nests_nothing() -> None:
    text, entities = parse_markdown("*a* _b_ `c*` [d](t.org) \\_ .")
    assert (text, told(entities)) == (
        "a b c* d _ .",
        [("bold", 0, 1), ("italic", 2, 1), ("code", 4, 2), ("text_link", 7, "http://t.org/", 1)],
    )
    assert refusal(parse_markdown, "a *b") == "Can't find end of the entity starting at byte offset 2"


# -- HTML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("🏟<i>a &lt<b>b</b></i>", "🏟a <b", [("italic", 2, 4), ("bold", 5, 1)]),
        ("&ge;&lt;&#12345678;", "&ge;<&#12345678;", []),
        ("<i>a</>", "a", [("italic", 0, 1)]),
        ("<b x  =  'y'>a</b >", "a", [("bold", 0, 1)]),
        ('<pre><code class="language-ts">a</code></pre>', "a", [("pre", 0, 1, "ts")]),
        ('<code class="language-ts"><pre>a</pre></code>', "a", [("pre", 0, 1, "ts")]),
        ("<blockquote expandable>a</blockquote>", "a", [("expandable_blockquote", 0, 1)]),
        ('<a href="telegram.org?a=&lt;">a</a>', "a", [("text_link", 0, 1, "http://telegram.org/?a=<")]),
        ("<a>telegram.org</a>", "telegram.org", [("text_link", 0, 12, "http://telegram.org/")]),
        ('<a href="http://portal/task/5">a</a>', "a", []),  # no dot in the host: the link is dropped without a word
        ('<a href="tg://user?id=12">a</a>', "a", [("text_mention", 0, 1, ANNA)]),
        ('<tg-emoji emoji-id="5">👍</tg-emoji>', "👍", [("custom_emoji", 0, 2, "5")]),
        ("<b></b>", "", []),
    ],
)
def test_html_is_read(source: str, text: str, entities: list[Any]) -> None:
    read_text, read_entities = parse_html(source)
    assert read_text == text
    assert [
        (each["type"], each["offset"], each["length"], *tuple(each.values())[3:]) for each in read_entities
    ] == entities


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("🏟<abac aba>", 'Unsupported start tag "abac" at byte offset 4'),
        ("🏟<i   =aba>", 'Empty attribute name in the tag "i" at byte offset 4'),
        ("<b></b></", "Unexpected end tag at byte offset 7"),
        ("<i>a</i   ", "Unclosed end tag at byte offset 4"),
        ("<i>a</em >", 'Unmatched end tag at byte offset 4, expected "</i>", found "</em>"'),
        (
            "&#57311;",
            "Text contains invalid Unicode characters after decoding HTML entities, check for unmatched surrog",
        ),
        ('<tg-emoji emoji-id="x">a</tg-emoji>', "Invalid custom emoji identifier specified"),
    ],
)
def test_a_mistake_in_html_is_told_with_its_place(source: str, problem: str) -> None:
    assert refusal(parse_html, source).startswith(problem)


# -- what becomes of the text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("  a b\n ", "a b"),
        ("a\tb\x07c", "a b c"),
        ("a\r\nb", "a\nb"),
        ("a\u2028b\u202ec", "abc"),
        ("A\u030a", "A"),  # the ring of a decomposed letter
        ("\u00a0a", "\u00a0a"),
    ],
)
def test_white_space_and_control_characters(source: str, text: str) -> None:
    assert finished(source, []) == (text, [])


def test_entities_are_honoured_instead_of_a_parse_mode() -> None:
    given = [
        {"type": "bold", "offset": 2, "length": 3},
        {"type": "text_link", "offset": 6, "length": 1, "url": "t.org"},
        {"type": "url", "offset": 0, "length": 1},  # one that Telegram finds by itself
        {"type": "pre", "offset": 8, "length": 1, "language": "ts"},
    ]
    params = {"text": "a 🏟b c *d*", "entities": str(given).replace("'", '"')}
    text, entities = finished(*read(params))
    assert text == "a 🏟b c *d*"
    assert [(each["type"], each["offset"], each["length"]) for each in entities] == [
        ("bold", 2, 3),
        ("text_link", 6, 1),
        ("pre", 8, 1),
    ]
    assert finished(*read({**params, "parse_mode": "none"})) == (text, entities)
    assert finished(*read({**params, "parse_mode": "Markdown"}))[0] == "a 🏟b c d"


def test_entities_move_with_the_text_that_is_trimmed() -> None:
    bold = {"type": "bold", "offset": 3, "length": 9}
    assert finished(" \r a  ", [bold]) == ("a", [{"type": "bold", "offset": 0, "length": 1}])
    marked = {"type": "bold", "offset": 0, "length": 3}
    assert finished("  a", [marked]) == ("  a", [marked]), "what is marked is not trimmed at the beginning"


def test_no_style_inside_code_and_none_across_the_edge_of_a_link() -> None:
    entities = [
        {"type": "bold", "offset": 0, "length": 6},
        {"type": "code", "offset": 1, "length": 1},
        {"type": "text_link", "offset": 3, "length": 2, "url": "http://t.org/"},
        {"type": "text_mention", "offset": 4, "length": 2, "user": ANNA},  # overlaps halfway
        {"type": "bold", "offset": 2, "length": 2},
    ]
    assert [(each["type"], each["offset"], each["length"]) for each in finished("abcdef", entities)[1]] == [
        ("bold", 0, 1),
        ("code", 1, 1),
        ("bold", 2, 1),
        ("text_link", 3, 2),
        ("bold", 3, 2),
        ("bold", 5, 1),
    ]


@pytest.mark.parametrize(
    ("entity", "problem"),
    [
        (5, "can't parse MessageEntity: expected an Object"),
        ({"type": "shiny", "offset": 0, "length": 1}, "can't parse MessageEntity: Unsupported type specified"),
        ({"type": "bold", "offset": "0", "length": 1}, "can't parse MessageEntity: Field"),
        ({"type": "text_link", "offset": 0, "length": 1}, "can't parse MessageEntity: Can't find field"),
        ({"type": "bold", "offset": -1, "length": 1}, "receive an entity with incorrect offset -1"),
        ({"type": "text_link", "offset": 0, "length": 1, "url": "localhost"}, "entity URL 'localhost' is invalid"),
    ],
)
def test_an_entity_that_is_none_is_refused(entity: Any, problem: str) -> None:
    with pytest.raises(ApiError) as caught:
        finished(*read({"text": "x", "entities": str([entity]).replace("'", '"')}))
    assert caught.value.description.startswith(f"Bad Request: {problem}")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("telegram.org", "http://telegram.org/"),
        ("HTTPS://Telegram.org:443/A?b#c", "https://telegram.org:443/A?b#c"),
        ("http://user@t.org", "http://user@t.org/"),
        ("tg://resolve?domain=a", "tg://resolve?domain=a"),
        ("localhost", None),
        ("http://bitrix/crm", None),
        ("ftp://t.org", None),
        ("http://t.org:99999", None),
        ("tel:+79990000000", None),
        ("a b.org", None),
        ("", None),
    ],
)
def test_which_addresses_are_links(written: str, shown: str | None) -> None:
    assert checked(written) == shown
