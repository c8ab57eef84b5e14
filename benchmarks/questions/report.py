"""The table of the questions, for the terminal and for the documents, with what was really answered."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from benchmarks.measure import machine
from benchmarks.questions.asked import QUESTIONS, Answered
from benchmarks.questions.scene import Told
from benchmarks.record import DOCS, write_section
from benchmarks.tables import Table
from benchmarks.verdict import Verdict
from core.texts import Language, Text

MOST = 10.0  # seconds for an answer
_LINES = 14  # of an answer in the document
_COLUMNS = (
    Text("question", "вопрос"), Text("command", "команда"), Text("s", "с"), Text("call", "вызов"), Text("s", "с"),
)  # fmt: skip
_DOCUMENTS: Mapping[Language, str] = {"en": "questions.md", "ru": "questions.ru.md"}
_MORE = Text("… {count} more lines", "… ещё строк: {count}")
_ENDED = Text("exit code", "код")


def table(answers: Sequence[Answered], lang: Language) -> Table:
    made = Table("", [each.say(lang) for each in _COLUMNS])
    for each in answers:
        question = f"{each.number}. {each.question.say(lang)}"
        command, call = each.command, each.call
        asked = (f"`{_short(each.asked)}`" for each in (command, call))
        made.add(question, next(asked), f"{command.seconds:.2f}", next(asked), f"{call.seconds:.2f}")
    return made


def verdicts(answers: Mapping[Language, Sequence[Answered]]) -> list[Verdict]:
    told = [each for of_lang in answers.values() for each in of_lang]
    slowest = max(max(each.command.seconds, each.call.seconds) for each in told)
    complete = {each.number for each in told} == set(range(1, len(QUESTIONS) + 1))
    failed = [each.call.asked for each in told if not each.call.ended.startswith("2")]
    return [
        Verdict(f"{len(QUESTIONS)} questions answered by a command and by a call", complete and not failed),
        Verdict(f"the slowest answer took {slowest:.1f} s, at most {MOST:g} wanted", slowest <= MOST),
    ]


def record(answers: Mapping[Language, Sequence[Answered]], rabbitmq: str) -> None:
    for lang, told in answers.items():
        where = "; ".join(machine(rabbitmq).values())
        made = f"{datetime.datetime.now(datetime.UTC).date()}, {where}. `python -m benchmarks.questions`."
        answered = [_answers(each, lang) for each in told]
        write_section(
            DOCS / _DOCUMENTS[lang], "questions", "\n\n".join([made, table(told, lang).markdown(), *answered])
        )


def _answers(each: Answered, lang: Language) -> str:
    head = f"### {each.number}. {each.question.say(lang)}"
    return "\n\n".join([head, _block(each.command, lang), _block(each.call, lang)])


def _block(told: Told, lang: Language) -> str:
    lines = told.answer.rstrip().splitlines()
    shown = [line.rstrip() for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(_MORE.say(lang).format(count=len(lines) - _LINES))
    ended = f"# {_ENDED.say(lang)} {told.ended}" if told.asked.startswith("main.py") else f"# {told.ended}"
    return "\n".join(["```text", f"$ {_short(told.asked)}", *shown, ended, "```"])


def _short(asked: str) -> str:
    return asked if len(asked) <= 110 else f"{asked[:109]}…"
