"""A certificate that is not believed is told with its own reason: four faults, four remedies, for every connection."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from broker.connection import connect, connection_parameters
from broker.settings import RabbitMQSettings
from broker.unreachable import UnreachableError
from core.errors import ConfigurationError
from toolkit.http import HttpClient

NOW = datetime.now(UTC)
DAY = timedelta(days=1)

FAULTS = pytest.mark.parametrize(
    ("fault", "words", "russian"),
    [
        ("expired", ["has expired", "renewed on the server"], "истёк"),
        ("not yet valid", ["not valid yet", "clocks"], "ещё не действует"),
        ("of another name", ["for another name", "localhost"], "на другое имя"),
        ("unknown issuer", ["issuer", "unknown", "CA_FILE"], "издатель"),
    ],
)


@contextmanager
def tls_server(fault: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """A port whose certificate has that fault, and the file with the CA that a client believes."""
    authority = trustme.CA()
    name = "portal.example" if fault == "of another name" else "localhost"
    begins, ends = {"expired": (NOW - 9 * DAY, NOW - DAY), "not yet valid": (NOW + DAY, NOW + 9 * DAY)}.get(
        fault, (NOW - DAY, NOW + DAY)
    )
    certificate = authority.issue_cert(name, not_before=begins, not_after=ends)
    believed = trustme.CA() if fault == "unknown issuer" else authority
    ca_file = folder / "ca.pem"
    believed.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with _Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, ca_file
        finally:
            server.shutdown()
            thread.join()


@FAULTS
def test_of_a_system_over_https(fault: str, words: list[str], russian: str, tmp_path: Path) -> None:
    del russian
    with tls_server(fault, tmp_path) as (port, ca_file):
        client = HttpClient(
            "Portal", connect_timeout=5, read_timeout=5, verify=str(ca_file), ca_setting="PORTAL_CA_FILE"
        )
        with pytest.raises(ConfigurationError) as refused:
            client.post_json(f"https://localhost:{port}/", {}, write=True)
    assert refused.value.code == "certificate"
    for word in words:
        assert word in refused.value.reason
    assert ("PORTAL_CA_FILE" in refused.value.reason) == (fault == "unknown issuer"), "only there it helps"


@FAULTS
def test_of_rabbitmq(fault: str, words: list[str], russian: str, tmp_path: Path) -> None:
    with tls_server(fault, tmp_path) as (port, ca_file):
        settings = RabbitMQSettings(host="localhost", port=port, tls=True, ca_file=ca_file, connection_timeout=5)
        parameters = connection_parameters(settings, "test")
        with pytest.raises(UnreachableError) as refused:
            connect(parameters)
    for word in [*words, f"localhost:{port}"]:
        assert word in refused.value.text.en
    assert russian in refused.value.text.ru
    assert ("RABBITMQ_CA_FILE" in refused.value.text.en) == (fault == "unknown issuer")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks the handshake off is what the tests are about."""
