"""Texts of any length and markup of any shape become messages that Telegram takes, and nothing of them is lost.

The judge of the markup is the sandbox's own reader, which shares no code with the writer.
"""

from __future__ import annotations

import contextlib
import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.telegram.markup import TAGS, MarkupError, Rich, Run, Tag, is_styled, parse, plain, render
from consumers.telegram.text import LIMIT, split, truncate, units
from core import values
from sandbox.telegram.html_markup import parse_html

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # one character as people see it, eight units
FLAG = "\U0001f1f7\U0001f1fa"
ACCENT = "e\u0301"

letters = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
pieces = st.one_of(
    letters, st.sampled_from(["\n", "\n\n", " ", FAMILY, FLAG, ACCENT, "слово " * 20, "&lt;", "<b>", "&"])
)
texts = st.lists(pieces, max_size=30).map("".join)
tags = st.sampled_from(["b", "i", "u", "s", "code", "pre", "blockquote", "tg-spoiler"]).map(Tag)
links = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(
    lambda target: Tag("a", (("href", target),))
)
any_tag = st.one_of(tags, links)


@st.composite
def rich_texts(draw: st.DrawFn) -> Rich:
    """Runs under tags that stay open over several runs, as a tree of markup leaves them."""
    opened: list[Tag] = []
    runs = []
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.booleans()) and opened:
            opened.pop()
        if draw(st.booleans()):
            opened.append(draw(any_tag))
        runs.append(Run(draw(texts), tuple(opened)))
    return tuple(runs)


def without_blanks(text: str) -> str:
    return "".join(text.split())


# -- splitting ---------------------------------------------------------------------------------------------------------


@given(rich_texts(), st.integers(8, 200))
def test_split_parts_lose_nothing_and_every_part_is_small_enough(rich: Rich, limit: int) -> None:
    parts = list(split(rich, limit))
    assert without_blanks("".join(map(plain, parts))) == without_blanks(plain(rich))
    for part in parts:
        assert 0 < units(plain(part)) <= limit
        assert plain(part).strip() == plain(part)


@given(rich_texts(), st.integers(8, 200))
def test_every_part_is_well_formed_and_says_the_same(rich: Rich, limit: int) -> None:
    for part in split(rich, limit):
        text, entities = parse_html(render(part))
        assert text == plain(part)
        assert all(each["offset"] + each["length"] <= units(text) for each in entities)


@given(rich_texts(), st.integers(8, 200))
def test_every_character_keeps_its_styles(rich: Rich, limit: int) -> None:
    def styled(runs: Rich) -> list[tuple[str, tuple[Tag, ...]]]:
        return [(each, run.tags) for run in runs for each in run.text if not each.isspace()]

    assert [each for part in split(rich, limit) for each in styled(part)] == styled(rich)


@given(texts, st.integers(32, 200))
def test_no_cut_is_inside_a_character(text: str, limit: int) -> None:
    """As long as characters are shorter than half a message; longer ones are cut where they must be."""
    whole = text.strip()
    position = 0
    for part in split((Run(whole),), limit):
        start = whole.index(plain(part), position)
        position = start + len(plain(part))
        rest = whole[position:]
        assert not rest.startswith(("\u200d", "\u0301"))
        assert not (plain(part).endswith("\U0001f1f7") and rest.startswith("\U0001f1fa"))


@pytest.mark.parametrize("limit", range(16, 40))
@pytest.mark.parametrize("character", [FAMILY, FLAG, ACCENT, "\U0001f44d\U0001f3fd", "x"])
def test_a_row_of_long_characters_is_cut_between_them(character: str, limit: int) -> None:
    for part in split((Run(character * 100),), limit):
        assert plain(part) == character * (len(plain(part)) // len(character))


@given(rich_texts(), st.integers(8, 200))
def test_truncated_is_one_part_that_tells_when_something_is_missing(rich: Rich, limit: int) -> None:
    parts = list(truncate(rich, limit))
    whole = plain(rich).strip()
    assert len(parts) == (1 if whole else 0)
    for part in parts:
        assert units(plain(part)) <= limit
        assert plain(part) == whole or (plain(part).endswith("…") and whole.startswith(plain(part)[:-1]))
        assert parse_html(render(part))[0] == plain(part)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("x" * LIMIT, [LIMIT]),
        ("x" * (LIMIT + 1), [LIMIT, 1]),
        ("\U0001f600" * 2048, [2048]),
        ("\U0001f600" * 2049, [2048, 1]),
        ("&" * LIMIT, [LIMIT]),
        (" " * 10_000, []),
        ("x" + "\n" * 10_000 + "y", [1, 1]),
        ("x" * 3000 + "\n" + "y" * 3000, [3000, 3000]),
        ("x" * 3000 + "\n\n" + "y" * 1000 + "\n" + "z" * 3000, [3000, 4001]),
        ("x" * 100 + "\n\n" + "y" * 5000, [LIMIT, 1006]),
        ("x" * 4000 + " " + "y" * 200, [4000, 200]),
    ],
)
def test_cuts_are_where_a_reader_expects_them(text: str, lengths: list[int]) -> None:
    assert [len(plain(part)) for part in split((Run(text),))] == lengths


def test_a_tag_that_is_open_at_a_cut_is_closed_and_opened_again() -> None:
    link = Tag("a", (("href", "https://example.ru/?a=1&b=2"),))
    rich = (Run("x" * 4000 + " ", (Tag("b"), link)), Run("y" * 200, (link,)))
    first, second = map(render, split(rich))
    assert first == f'<b><a href="https://example.ru/?a=1&amp;b=2">{"x" * 4000}</a></b>'
    assert second == f'<a href="https://example.ru/?a=1&amp;b=2">{"y" * 200}</a>'


# -- markup ------------------------------------------------------------------------------------------------------------


@given(rich_texts())
def test_what_is_rendered_is_read_back_by_both_readers(rich: Rich) -> None:
    again = parse(render(rich), lambda text: text)
    assert plain(again) == plain(rich)
    assert render(again) == render(tuple(run for run in rich if run.text))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_is_never_markup(value: str) -> None:
    rich = parse('<b>{x}</b> <a href="{x}">a</a>' if value else "<b>{x}</b>", lambda text: text.replace("{x}", value))
    text, entities = parse_html(render(rich))
    assert text == plain(rich)
    assert text.startswith(value)
    assert {each["type"] for each in entities} <= {"bold", "text_link"}


@given(st.one_of(st.text(), st.lists(st.sampled_from(["<b>", "</b>", "<a href='", '"', ">", "<", "x", " ", "=", "/"]))))
def test_any_html_is_either_taken_by_telegram_or_a_told_mistake(source: str | list[str]) -> None:
    text = values.text("".join(source))
    with contextlib.suppress(MarkupError):
        rich = parse(text, lambda each: each)
        assert parse_html(render(rich))[0] == plain(rich)


@pytest.mark.parametrize("name", sorted(TAGS))
def test_every_tag_that_is_allowed_is_known_to_telegram(name: str) -> None:
    attributes = {
        "span": ' class="tg-spoiler"',
        "a": " href='tg://user?id=1&x=2'",
        "code": ' class="language-python"',
        "tg-emoji": " emoji-id=5368324170671202286",
        "blockquote": " expandable",
    }
    rich = parse(f"<{name.upper()}{attributes.get(name, '')}>x&lt;&#1071;</{name}>", lambda text: text)
    assert is_styled(rich)
    text, [entity] = parse_html(render(rich))
    assert (text, entity["offset"], entity["length"]) == ("x<Я", 0, 3)


def test_two_quotes_side_by_side_stay_two() -> None:
    source = "<blockquote>a</blockquote><blockquote>b</blockquote>"
    assert render(parse(source, lambda text: text)) == source


@pytest.mark.parametrize("size", [200_000])
@pytest.mark.parametrize("unit", ["<", "<b ", '<b x="', "<a href='", "<b>", "&lt;", "{", '"'])
def test_hostile_html_is_read_in_linear_time(unit: str, size: int) -> None:
    """A test that hangs says what was lost: a message of half a megabyte must not hold a thread for minutes."""
    source = unit * (size // len(unit))
    with contextlib.suppress(MarkupError):
        assert plain(parse(source, lambda text: text)) == html.unescape(source)
