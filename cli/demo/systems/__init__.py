"""The scenarios of the demo, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cli.demo.scenario import Scenario, Together
from cli.demo.systems.bitrix import BitrixScenario
from cli.demo.systems.email import EmailScenario
from cli.demo.systems.onec import OneCScenario
from cli.demo.systems.openproject import OpenProjectScenario
from cli.demo.systems.services import ServicesScenario
from cli.demo.systems.telegram import TelegramScenario
from core.texts import Text

_SCENARIOS: Mapping[str, Callable[[], Scenario]] = {
    "bitrix24": BitrixScenario,
    "openproject": OpenProjectScenario,
    "1c": OneCScenario,
    "python-services": ServicesScenario,
    "email": EmailScenario,
    "telegram": TelegramScenario,
}
ALL = "all"
SYSTEMS = tuple(_SCENARIOS)


def make_scenario(name: str) -> Scenario:
    """Return one of SYSTEMS, or ALL of them at once."""
    if name == ALL:
        return Together(ALL, Text("all systems", "все системы"), [make() for make in _SCENARIOS.values()])
    return _SCENARIOS[name]()
