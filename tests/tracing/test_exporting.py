"""Spans go where OTEL_… says; a collector that does not take them is told of and waited for by nobody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from assembly.startup import read_configuration
from assembly.tracing import make_tracing
from core.traces import TakenUp
from operation.settings_shown import shown_settings
from sandbox.process import ROOT
from settings.errors import SettingsError
from tests.support.answering_server import AnsweringServer
from tracing.exporting import ToldExporter, Tracing
from tracing.settings import TracingSettings

TAKEN = TakenUp("a.queue", "", "a.queue", "1", None, None)
LOG = "tests.collector"


class Refusing(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        logging.getLogger(LOG).warning("Max retries exceeded with url: /s3cret/v1/traces (Connection refused)")
        logging.getLogger(LOG).error("Failed to export")
        return SpanExportResult.FAILURE


class Hanging(SpanProcessor):
    def __init__(self) -> None:
        self.given_up = threading.Event()

    def shutdown(self) -> None:
        self.given_up.wait(60)


def settings(environ: dict[str, str], folder: Path) -> TracingSettings:
    return read_configuration(environ, folder / ".env").settings.for_system(TracingSettings)


def test_a_refused_batch_is_told_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    tracing = Tracing([SimpleSpanProcessor(ToldExporter(Refusing(), LOG))])
    tracing.tracer.begin("process", TAKEN).end()
    tracing.finish(5)
    assert [record.getMessage() for record in caplog.records] == [
        "1 spans are lost: Max retries exceeded (Connection refused)"
    ]
    logging.getLogger(LOG).warning("heard again")
    assert caplog.records[-1].getMessage() == "heard again"


def test_the_end_waits_for_no_exporter_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    Tracing([hanging], hanging.given_up.set).finish(0.01)
    assert hanging.given_up.is_set()
    assert "some spans are lost" in caplog.text


def test_spans_reach_the_collector_that_the_env_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AnsweringServer() as collector:
        collector.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        (tmp_path / ".env").write_text(
            f"OPENTELEMETRY=on\nOTEL_EXPORTER_OTLP_ENDPOINT={collector.address}\n"
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20s3cret-of-the-collector\n"
            "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test\n"
        )
        (tmp_path / ".env").chmod(0o600)
        found = read_configuration({}, tmp_path / ".env").settings
        assert [each.text.en for each in found.warnings] == []
        for name in found.for_system(TracingSettings).sdk:
            monkeypatch.setenv(name, "")  # is put back afterwards
            monkeypatch.delenv(name)
        tracing = make_tracing(found)
        assert tracing is not None
        tracing.tracer.begin("process", TAKEN).end()
        tracing.finish(30)
    assert collector.latest.startswith(b"POST /v1/traces ")
    for text in (
        b"Bearer s3cret-of-the-collector",
        b"task-creator",
        b"deployment.environment.name",
        b"process a.queue",
    ):
        assert text in collector.latest


def test_none_is_made_unless_it_is_wanted(tmp_path: Path) -> None:
    assert not settings({}, tmp_path).is_wanted
    assert not settings({"OPENTELEMETRY": "on", "OTEL_SDK_DISABLED": "TRUE"}, tmp_path).is_wanted
    assert settings({"OPENTELEMETRY": "on"}, tmp_path).is_wanted
    assert make_tracing(read_configuration({}, tmp_path / ".env").settings) is None


def test_variables_of_the_sdk_are_no_slips_of_ours_and_their_secrets_are_ours_to_keep(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("api-key=s3cret-of-the-collector\n")
    (tmp_path / ".env").write_text("OTEL_SERVICE_NAME=worker-1\nOTEL_EXPORTER_OTLP_TIMEOUT=3\n")
    (tmp_path / ".env").chmod(0o600)
    environ = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://user:passw0rd@collector:4318/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(tmp_path / "headers"),
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=another-s3cret",
        "OTEL_WHATEVER_COMES": "1",
    }
    startup = read_configuration(environ, tmp_path / ".env")
    assert [each.variable for each in startup.settings.warnings] == ["OPENTELEMETRY"], "an endpoint that is not used"
    assert startup.settings.for_system(TracingSettings).variables() == {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret-of-the-collector",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://user:passw0rd@collector:4318/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=another-s3cret",
        "OTEL_SERVICE_NAME": "worker-1",
        "OTEL_WHATEVER_COMES": "1",
    }
    assert "s3cret" not in startup.secrets.mask("refused: api-key=s3cret-of-the-collector, api-key=another-s3cret")
    shown = {each.variable: each for each in shown_settings(startup.settings)}
    assert (shown["OTEL_SERVICE_NAME"].value, shown["OTEL_SERVICE_NAME"].source) == ("worker-1", "env_file")
    text = json.dumps([each.value for each in shown.values()])
    assert "s3cret" not in text
    assert "passw0rd" not in text


def test_a_misspelt_switch_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settings({"OPENTELEMETRIE": "on"}, tmp_path)
    assert "did you mean OPENTELEMETRY?" in str(caught.value)


def test_a_misspelt_variable_of_the_sdk_is_told_where_it_was_written_for_this_worker(tmp_path: Path) -> None:
    slip = {"OTEL_EXPORTER_OTLP_ENDPONT": "http://collector:4318"}
    settings({"OPENTELEMETRY": "on", **slip}, tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in slip.items()))
    with pytest.raises(SettingsError) as caught:
        settings({"OPENTELEMETRY": "on"}, tmp_path)
    assert "did you mean OTEL_EXPORTER_OTLP_ENDPOINT?" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_PROPAGATORS", "b3")],
)
def test_what_this_worker_cannot_do_is_refused_by_name(variable: str, value: str, tmp_path: Path) -> None:
    settings({variable: value}, tmp_path)  # nobody asked
    with pytest.raises(SettingsError) as caught:
        settings({"OPENTELEMETRY": "on", variable: value}, tmp_path)
    assert f"{variable}={value}" in str(caught.value)


def test_what_the_sdk_cannot_use_is_a_mistake_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    environ = {"OPENTELEMETRY": "on", "OTEL_BSP_MAX_QUEUE_SIZE": "0"}
    with pytest.raises(SettingsError) as caught:
        make_tracing(read_configuration(environ, tmp_path / ".env").settings)
    assert "max_queue_size must be a positive integer" in str(caught.value)


def test_without_the_packages_the_worker_says_how_to_get_them(tmp_path: Path) -> None:
    program = "import sys; sys.modules['opentelemetry.sdk'] = None; import main; sys.exit(main.main([]))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"OPENTELEMETRY": "on", "STATE_DIR": str(tmp_path), "LOG_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert "OPENTELEMETRY=on" in done.stderr
    assert "requirements-otel.lock" in done.stderr
