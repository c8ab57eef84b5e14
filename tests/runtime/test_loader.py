"""Handlers and trackers by name: absent, broken, misnamed and unfit classes are told apart, all of them at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base_handler import BaseMessageHandler
from base_tracker import BaseTracker
from core.errors import NotConfiguredError, TransientError
from core.messages import IncomingMessage, Limits, decode_task
from core.results import Accepted, Acknowledged
from runtime.loader import LoadError, load_classes, make_handler, make_tracker, settings_classes
from sandbox.process import ROOT
from settings.base import EnvironmentSettings

WriteModule = Callable[[str, str], str]
STOP = threading.Event()


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteModule:
    """Writes a module that can be imported during this test; gives its name back."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)

    def write(name: str, text: str) -> str:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for module in set(sys.modules) - known:
            monkeypatch.delitem(sys.modules, module)
        return name

    return write


def problem_of(module: str, name: str = "Handler") -> str:
    classes, [mistake] = load_classes({"x.queue": (module, name)}, "QUEUE_HANDLERS")
    assert (classes, mistake.variable) == ({}, 'QUEUE_HANDLERS["x.queue"]')
    return mistake.problem.en


def a_message() -> IncomingMessage:
    return IncomingMessage(decode_task(b'{"task_id": "a", "topic": "t"}', Limits()), "x.queue", properties="amqp")


class TestWhatCannotBeLoaded:
    def test_an_absent_module_is_called_absent(self) -> None:
        assert problem_of("nowhere") == "there is no module 'nowhere'"
        assert problem_of("nowhere.handlers") == "there is no module 'nowhere.handlers'"
        assert problem_of("consumers.nowhere") == "there is no module 'consumers.nowhere'"
        assert problem_of("json.nowhere") == "there is no module 'json.nowhere'"

    def test_a_module_that_misses_a_library_is_not_called_absent(self, write_module: WriteModule) -> None:
        write_module("needy", "import a_library_that_nobody_has.part\n")
        assert problem_of("needy") == "module 'needy' needs 'a_library_that_nobody_has', which is not installed"

    def test_a_module_that_misses_a_part_of_itself_is_not_called_absent(self, write_module: WriteModule) -> None:
        write_module("package.__init__", "from package import missing_part\nimport package.other\n")
        assert "fails on import" in problem_of("package") or "needs 'package.other'" in problem_of("package")
        write_module("package2.__init__", "import package2.other\n")
        assert problem_of("package2") == "module 'package2' needs 'package2.other', which is not installed"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("1 / 0", "ZeroDivisionError"),
            ("def broken(:", "SyntaxError"),
            ("import os\nos.environ['A_VARIABLE_THAT_NOBODY_SETS']", "A_VARIABLE_THAT_NOBODY_SETS"),
            ("from json import there_is_no_such_name", "there_is_no_such_name"),
            ("import sys\nsys.exit(0)", "SystemExit"),
            ("raise ModuleNotFoundError('by hand')", "by hand"),
        ],
    )
    def test_a_module_that_fails_inside_says_with_what(self, write_module: WriteModule, text: str, reason: str) -> None:
        write_module("broken", text)
        problem = problem_of("broken")
        assert problem.startswith("module 'broken' fails on import: ")
        assert reason in problem

    @pytest.mark.parametrize("text", ["", "Handler = None", "def Handler(): ...", "handler = int"])
    def test_a_module_without_the_class_names_the_class(self, write_module: WriteModule, text: str) -> None:
        write_module("empty", text)
        assert problem_of("empty") == "module 'empty' has no class 'Handler'"

    @pytest.mark.parametrize("module", ["", ".", ".relative", "a b", "consumers/bitrix"])
    def test_a_name_that_is_no_module_s_name_is_a_mistake_like_any_other(self, module: str) -> None:
        assert "module" in problem_of(module)

    @pytest.mark.parametrize(
        "text",
        [
            "class Handler: ...",
            "class Handler:\n    process_message = True",
            "from base_tracker import BaseTracker as Handler",
        ],
    )
    def test_a_class_that_handles_nothing_is_refused_before_anything_runs(
        self, write_module: WriteModule, text: str
    ) -> None:
        write_module("unfit", text)
        assert problem_of("unfit").endswith("is no BaseMessageHandler and has no process_message")

    def test_a_handler_is_no_tracker(self) -> None:
        wanted = {"x.sent.queue": ("consumers.bitrix", "BitrixTaskHandler")}
        classes, [mistake] = load_classes(wanted, "TRACKER_CONFIG")
        assert (classes, mistake.variable) == ({}, 'TRACKER_CONFIG["x.sent.queue"]')
        assert mistake.problem.en.endswith("BitrixTaskHandler is no BaseTracker")

    def test_all_mistakes_are_told_at_once_and_the_good_ones_are_not_among_them(
        self, write_module: WriteModule
    ) -> None:
        write_module("broken", "1 / 0")
        wanted = {
            "bitrix24.queue": ("consumers.bitrix", "BitrixTaskHandler"),
            "a.queue": ("nowhere", "A"),
            "b.queue": ("broken", "B"),
            "c.queue": ("json", "C"),
            "d.queue": ("json", "JSONDecoder"),
        }
        classes, mistakes = load_classes(wanted, "QUEUE_HANDLERS")
        assert list(classes) == ["bitrix24.queue"]
        assert [each.variable for each in mistakes] == [f'QUEUE_HANDLERS["{letter}.queue"]' for letter in "abcd"]


class TestWhatIsLoaded:
    def test_the_configured_classes_come_by_queue(self) -> None:
        wanted = {"bitrix24.queue": ("consumers.bitrix", "BitrixTaskHandler")}
        classes, mistakes = load_classes(wanted, "QUEUE_HANDLERS")
        assert (list(classes), mistakes) == (["bitrix24.queue"], [])
        assert issubclass(classes["bitrix24.queue"], BaseMessageHandler)

    def test_a_handler_of_the_old_kind_is_asked_by_its_own_interface(self) -> None:
        class Old:
            asked: list[tuple[Any, Any]] = []  # noqa: RUF012 - one instance only
            answer = True

            def process_message(self, message_data: dict[str, Any], properties: Any) -> bool:
                self.asked.append((message_data, properties))
                return self.answer

            def get_stats(self) -> dict[str, Any]:
                return {"asked": len(self.asked)}

        handler = make_handler(Old, None, STOP)
        assert handler.handle(a_message()) == Acknowledged()
        assert Old.asked == [({"task_id": "a", "topic": "t"}, "amqp")]
        assert handler.get_stats() == {"asked": 1}
        Old.answer = False
        with pytest.raises(TransientError, match=r"Old\.process_message returned False"):
            handler.handle(a_message())

    def test_the_old_kind_needs_no_statistics(self) -> None:
        class Older:
            def process_message(self, _message_data: dict[str, Any], _properties: Any) -> bool:
                return True

        assert make_handler(Older, None, STOP).get_stats() == {}

    def test_a_handler_that_returns_nothing_is_tried_again(self) -> None:
        class New(BaseMessageHandler):
            answer: dict[str, Any] | None = None

            def __init__(self) -> None:
                super().__init__("NewSystem")

            def _process_message_impl(self, message_data: dict[str, Any], _properties: Any) -> dict[str, Any] | None:
                message_data["task_id"] = "a handler may write into what it is given"
                return self.answer

        handler, message = make_handler(New, None, STOP), a_message()
        with pytest.raises(TransientError):
            handler.handle(message)
        New.answer = {}
        assert handler.handle(message) == Accepted({})
        assert message.task.task_id == "a"

    def test_a_system_without_settings_of_its_own_is_not_in_use(self) -> None:
        class Unused(BaseMessageHandler):
            @classmethod
            def from_settings(cls, settings: Any, stop: threading.Event) -> BaseMessageHandler:
                raise NotConfiguredError("X_URL is not set")

        with pytest.raises(NotConfiguredError):
            make_handler(Unused, None, STOP)

    def test_settings_that_the_loader_cannot_fill_are_refused_by_name(self) -> None:
        class Settings:
            env_prefix = "OTHER_"

        class Handler(BaseMessageHandler):
            settings_class = Settings  # type: ignore[assignment]

        class Tracker(BaseTracker):
            settings_class = Settings  # type: ignore[assignment]

        for make in (lambda: make_handler(Handler, None, STOP), lambda: make_tracker(Tracker, None, STOP)):
            with pytest.raises(LoadError, match=r"is Settings, which is no settings\.base\.EnvironmentSettings"):
                make()

    def test_classes_that_are_no_handler_or_tracker_are_refused_here_too(self) -> None:
        with pytest.raises(LoadError):
            make_handler(dict, None, STOP)
        with pytest.raises(LoadError):
            make_tracker(BaseMessageHandler, None, STOP)

    def test_a_settings_class_that_handler_and_tracker_share_comes_once(self) -> None:
        class Shared(EnvironmentSettings): ...

        class Handler(BaseMessageHandler):
            settings_class = Shared

        class Tracker(BaseTracker):
            settings_class = Shared

        assert settings_classes([Handler, Tracker, dict, Handler]) == [Shared]


def run_main(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python main.py` as an operator starts it; nothing listens on the port, should it get that far."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "LOG_DIR": str(folder / "logs"),
        "LANG": "C.UTF-8",
        "RABBITMQ_PORT": "1",
        **variables,
    }
    command = [sys.executable, str(ROOT / "main.py")]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_daemon_ends_with_code_78_and_names_every_module_and_class(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("import a_library_that_nobody_has\n")
    (tmp_path / "whole.py").write_text("class Unfit: ...\n")
    handlers = {
        "a.queue": {"module": "consumers.nowhere", "handler_class": "NowhereHandler"},
        "b.queue": {"module": "half", "handler_class": "HalfHandler"},
        "c.queue": {"module": "whole", "handler_class": "MissingHandler"},
        "d.queue": {"module": "whole", "handler_class": "Unfit"},
    }
    ended = run_main(tmp_path, QUEUE_HANDLERS=json.dumps(handlers))
    assert ended.returncode == 78
    assert "Traceback" not in ended.stderr
    assert [line.strip() for line in ended.stderr.splitlines() if "→" not in line] == [
        "Mistakes in the settings: 4",
        'QUEUE_HANDLERS["a.queue"]',
        "there is no module 'consumers.nowhere'",
        'QUEUE_HANDLERS["b.queue"]',
        "module 'half' needs 'a_library_that_nobody_has', which is not installed",
        'QUEUE_HANDLERS["c.queue"]',
        "module 'whole' has no class 'MissingHandler'",
        'QUEUE_HANDLERS["d.queue"]',
        "whole.Unfit is no BaseMessageHandler and has no process_message",
    ]


def test_a_tracker_that_is_none_ends_the_daemon_the_same_way(tmp_path: Path) -> None:
    trackers = {"bitrix24.sent.queue": {"module": "consumers.bitrix", "tracker_class": "BitrixTaskHandler"}}
    ended = run_main(tmp_path, TRACKER_CONFIG=json.dumps(trackers))
    assert ended.returncode == 78
    assert 'TRACKER_CONFIG["bitrix24.sent.queue"]' in ended.stderr
    assert "BitrixTaskHandler is no BaseTracker" in ended.stderr


class _Unmakeable(BaseMessageHandler):
    def __init__(self) -> None:
        raise KeyError("NEWSYSTEM_URL")


def test_a_handler_whose_constructor_fails_is_named_with_the_reason() -> None:
    with pytest.raises(LoadError, match=r"_Unmakeable cannot be made: KeyError: 'NEWSYSTEM_URL'"):
        make_handler(_Unmakeable, None, threading.Event())
