"""Whoever reads the error queue, an alert or a warning reads why in Russian, too: it is written in both languages.

Read from the sources: a reason that no test brings about counts as well.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from core.envelopes import EMBED_LIMIT, ERROR_TEXT_LIMIT, Failure, encode_failed_task, encode_unreadable
from core.errors import PermanentError
from core.messages import HEADER_ERROR, CamundaTask
from core.texts import Text
from sandbox.process import ROOT

PACKAGES = ("cli", "consumers", "core", "runtime")
TOLD_CLASSES = {"BilingualError", "Rejected"}
NOT_THE_FIRST = {"BadValueError": 2}  # which argument tells what is wrong
ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b")  # two words of a sentence; names of others have hardly any
RUSSIAN = re.compile("[а-яё]", re.IGNORECASE)


def outcome_names(modules: Sequence[ast.Module]) -> set[str]:
    """The outcomes of the whole product, and what is told like one."""
    classes = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    names = set(TOLD_CLASSES)
    while found := {
        each.name for each in classes if each.name not in names and any(_name(base) in names for base in each.bases)
    }:
        names |= found
    return names


def one_wording(module: ast.Module, outcomes: set[str]) -> Iterator[int]:
    """The lines on which an outcome gets a reason that is written in one language."""
    constants = dict(_assigned(module.body))
    for scope in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
        known = {**constants, **dict(_assigned(ast.walk(scope)))}
        for call in ast.walk(scope):
            if isinstance(call, ast.Call) and _name(call.func) in outcomes:
                place = NOT_THE_FIRST.get(_name(call.func), 0)
                reasons = [*call.args[place : place + 1]]
                reasons += [each.value for each in call.keywords if each.arg in {"reason", "wanted"}]
                if any(_is_one_wording(reason, known) for reason in reasons):
                    yield call.lineno


def _is_one_wording(node: ast.expr, known: Mapping[str, ast.expr]) -> bool:
    match node:
        case ast.BinOp(left=one, right=other) | ast.IfExp(body=one, orelse=other):
            return _is_one_wording(one, known) or _is_one_wording(other, known)
        case ast.Name(id=name) if name in known:
            return _is_one_wording(known[name], {})
        case (
            ast.Constant(value=str())
            | ast.JoinedStr()
            | ast.Call(func=ast.Name(id="str") | ast.Attribute(attr="format" | "join"))
            | ast.Attribute(attr="reason" | "en" | "ru")
        ):
            return True
    return False


def untranslated(module: ast.Module) -> Iterator[int]:
    """The lines on which a text has an English sentence of ours for both languages."""
    for call in ast.walk(module):
        match call:
            case ast.Call(func=ast.Name(id="Text"), args=[english, russian]):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id="Text"), attr="of"), args=[english]):
                russian = english
            case ast.Call(func=ast.Attribute(attr="led_by"), args=[english]):
                russian = english
            case _:
                continue
        if ENGLISH.search(_literal(english)) and not RUSSIAN.search(_literal(russian)):
            yield call.lineno


def _literal(node: ast.expr) -> str:
    """What stands in the source of a text that is put together."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(_literal, parts))
        case ast.BinOp(left=one, right=other) | ast.IfExp(body=one, orelse=other):
            return _literal(one) + _literal(other)
    return "…"


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def sources() -> Mapping[Path, ast.Module]:
    paths = [*ROOT.glob("*.py"), *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_every_reason_is_written_in_both_languages() -> None:
    modules = sources()
    outcomes = outcome_names([*modules.values()])
    found = [f"{path}:{line}" for path, module in modules.items() for line in one_wording(module, outcomes)]
    assert not found, "give the reason as core.texts.Text, the words of others as Text.of(...): " + ", ".join(found)


@pytest.mark.parametrize(
    "body",
    [
        'raise PermanentError("no")',
        'raise PermanentError(f"no {x}", code="x")',
        'raise PermanentError(reason="no")',
        'reason = f"no {x}"\n    raise PermanentError(reason)',
        'raise PermanentError("no" if x else Text("a", "b"))',
        "raise PermanentError(str(x))",
        "raise PermanentError(error.reason)",
        'raise BadValueError("x", x, "a date")',
        "raise BadValueError('x', x, WANTED)",
        'return Rejected("no", "x")',
    ],
)
def test_a_reason_in_one_language_is_found(body: str) -> None:
    classes = "class BadValueError(PermanentError): ...\nclass PermanentError(BilingualError): ...\n"
    module = ast.parse(f"{classes}WANTED = 'x'\ndef f(x):\n    {body}")
    assert list(one_wording(module, outcome_names([module])))


def test_no_text_is_english_in_both_languages() -> None:
    """mypy wants a Text for a warning, but not a Russian one."""
    found = [f"{path}:{line}" for path, module in sources().items() for line in untranslated(module)]
    assert not found, "say it in Russian, too: " + ", ".join(found)


@pytest.mark.parametrize(
    "text",
    [
        'Text.of("it was cut")',
        'Text.of(f"{name} was not used")',
        'Text(f"{name} was not used", f"{name} was not used")',
        'Text("it was cut" if x else "", "it was cut" if x else "")',
        'Text("it was cut", told)',
        'told.led_by(f"{name} was cut: ")',
    ],
)
def test_a_text_that_is_english_in_both_languages_is_found(text: str) -> None:
    assert list(untranslated(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        'Text.of(f"HTTP {status}")',
        "Text.of(description)",
        'Text(f"{name} was cut", f"{name} обрезано")',
        'Text(f"{name}: {told.en}", f"{name}: {told.ru}")',
        'told.led_by(f"{name}: ")',
    ],
)
def test_the_words_of_others_are_the_same_in_both(text: str) -> None:
    assert not list(untranslated(ast.parse(text)))


def failure(reason: Text) -> Failure:
    return Failure(PermanentError(reason), "x.queue", "x", attempts=1, first_seen=0.0, failed_at=1.0)


def test_a_report_tells_the_reason_in_both_languages() -> None:
    told = failure(Text("no such person", "нет такого человека"))
    task = CamundaTask(b'{"task_id": "1", "topic": "t"}', {"task_id": "1", "topic": "t"})
    for message in (encode_failed_task(task, told), encode_unreadable(b"?", "1", told)):
        report = json.loads(message.body)
        assert (report["error"], report["error_ru"]) == ("no such person", "нет такого человека")
        assert report["error_info"]["message"] == "no such person"


def test_a_report_in_a_header_has_room_for_both() -> None:
    told = failure(Text('"' * 10 * ERROR_TEXT_LIMIT, "«" * 10 * ERROR_TEXT_LIMIT))
    message = encode_unreadable(b"?" * (EMBED_LIMIT + 1), "1", told)
    report = json.loads(message.headers[HEADER_ERROR])
    assert report["error"].startswith('""')
    assert report["error_ru"].startswith("««")
    assert len(message.headers[HEADER_ERROR].encode()) < 64 * 1024
