"""The fifteen questions of an operator, each by one command and one call, asked of a worker that runs.

    python -m benchmarks.questions                 a table; some two minutes
    python -m benchmarks.questions --record        also docs/questions.md and docs/questions.ru.md, with the answers

Exit code 0: each was answered within ten seconds; 1 otherwise, and the last lines say what.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import verdict
from benchmarks.broker import add_rabbitmq_option, wanted_server
from benchmarks.questions.asked import Answered, play
from benchmarks.questions.report import record, table, verdicts
from benchmarks.questions.scene import scene
from core.texts import Language
from sandbox.rabbitmq import RabbitNode

_LANGUAGES: tuple[Language, ...] = ("en", "ru")


def main(arguments: Sequence[str]) -> int:
    console, options = Console(), _options(arguments)
    answers: dict[Language, list[Answered]] = {}
    with RabbitNode(wanted_server(options)) as node, tempfile.TemporaryDirectory(prefix="task-creator-") as folder:
        rabbitmq = node.version
        for lang in _LANGUAGES:
            with scene(node.add_vhost(lang), Path(folder) / lang, lang) as stage:
                answers[lang] = list(play(stage))
            table(answers[lang], lang).show(console)
    if options.record:
        record(answers, rabbitmq)
    return verdict.conclude(verdicts(answers), console)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.questions", description=__doc__.partition("\n")[0])
    add_rabbitmq_option(parser)
    parser.add_argument("--record", action="store_true", help="write docs/questions.md and docs/questions.ru.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
