"""Makes the parts of the documents that say what the code says, between their marks:

    python -m tools.documents

The tests compare, so that neither can be changed without the other.
"""

from __future__ import annotations

import importlib
import json
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from api.app import make_app
from api.hook_metrics import METRICS as METRICS_OF_HOOKS
from api.hook_settings import HookSettings
from api.metrics import METRICS as METRICS_OF_THE_API
from api.tokens import Tokens
from config import load_settings
from core.events.base import Event
from core.outcomes import OUTCOMES
from core.texts import Language, Text
from metrics.catalogue import METRICS
from metrics.metric import Label, Metric
from operation.desk import Desk
from tools.house import drawn
from tools.sections import with_sections
from tools.walks import TO_CAMUNDA, TO_THE_SENT_QUEUE, diagram

ROOT = Path(__file__).resolve().parent.parent


def event_classes() -> list[type[Event]]:
    """Those that make a line in the log, of the daemon and of its systems, each code once, by code."""
    for package in ("core.events", "consumers"):
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if package != "consumers" or module.name.endswith(".events"):
                importlib.import_module(module.name)
    # A dataclass with slots is made twice, and the first one may still be there.
    by_code = {each.code: each for each in _subclasses(Event) if each.code}
    return [by_code[code] for code in sorted(by_code)]


def events(lang: Language) -> str:
    """The operator's list of events."""
    head = Text("| event | level | meaning |", "| событие | уровень | значение |").say(lang)
    rows = (f"| `{each.code}` | {_levels(each).say(lang)} | {each.meaning.say(lang)} |" for each in event_classes())
    return "\n".join([head, "|---|---|---|", *rows])


def outcomes(lang: Language) -> str:
    """What can become of a message, and what the worker does then."""
    head = Text(
        "| outcome | meaning | what the worker does | attempt spent |",
        "| итог | значение | что делает воркер | тратит попытку |",
    )
    spent = {None: Text.of("–"), True: Text("yes", "да"), False: Text("no", "нет")}
    rows = (
        f"| {each} | {row.meaning.say(lang)} | {row.consequence.say(lang)} | {spent[row.spends_attempt].say(lang)} |"
        for each, row in OUTCOMES.items()
    )
    return "\n".join([head.say(lang), "|---|---|---|---|", *rows])


def metrics(lang: Language) -> str:
    """What the worker tells Prometheus, with all values that a label can have."""
    return _table(METRICS, lang)


def api_metrics(lang: Language) -> str:
    """What the API tells Prometheus by itself."""
    return _table((*METRICS_OF_THE_API, *METRICS_OF_HOOKS), lang)


def _table(metrics: Sequence[Metric], lang: Language) -> str:
    head = Text("| metric | type | labels | meaning |", "| метрика | тип | метки | значение |").say(lang)
    rows = (
        f"| `{each.name}` | {each.kind} | {'; '.join(map(_label, each.labels)) or '–'} | {each.meaning.say(lang)} |"
        for each in metrics
    )
    return "\n".join([head, "|---|---|---|---|", *rows])


@cache
def house() -> str:
    """The folders with their floors and their sentences."""
    return "\n".join(["```text", *drawn(ROOT), "```"])


SECTIONS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/operation.md": {
        "events": lambda: events("en"),
        "metrics": lambda: metrics("en"),
        "api-metrics": lambda: api_metrics("en"),
    },
    "docs/operation.ru.md": {
        "events": lambda: events("ru"),
        "metrics": lambda: metrics("ru"),
        "api-metrics": lambda: api_metrics("ru"),
    },
    "docs/messages.md": {"outcomes": lambda: outcomes("en")},
    "docs/messages.ru.md": {"outcomes": lambda: outcomes("ru")},
    "docs/architecture.md": {
        "house": house,
        "to-the-sent-queue": lambda: diagram(TO_THE_SENT_QUEUE, "en"),
        "to-camunda": lambda: diagram(TO_CAMUNDA, "en"),
    },
    "docs/architecture.ru.md": {
        "house": house,
        "to-the-sent-queue": lambda: diagram(TO_THE_SENT_QUEUE, "ru"),
        "to-camunda": lambda: diagram(TO_CAMUNDA, "ru"),
    },
}


OPENAPI = "docs/openapi.json"


def openapi() -> str:
    """The OpenAPI document of the REST API."""
    app = make_app(Desk(load_settings({}, None, [HookSettings]), str), Tokens([]))
    return json.dumps(app.openapi(), ensure_ascii=False, indent=2) + "\n"


def made(document: str) -> str:
    """The document as it should be. Raises LookupError when a mark is missing."""
    return with_sections(ROOT / document, {name: make() for name, make in SECTIONS[document].items()})


def _subclasses(cls: type[Event]) -> Iterator[type[Event]]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def _label(label: Label) -> str:
    return f"`{label.name}`" + (f": {', '.join(f'`{each}`' for each in label.values)}" if label.values else "")


def _levels(event: type[Event]) -> Text:
    return event.levels or Text.of(logging.getLevelName(event.level).lower())


def main() -> None:
    for document in SECTIONS:
        (ROOT / document).write_text(made(document), encoding="utf-8")
    (ROOT / OPENAPI).write_text(openapi(), encoding="utf-8")


if __name__ == "__main__":
    main()
