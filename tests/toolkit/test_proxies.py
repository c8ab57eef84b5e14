"""Proxies of the environment: used by every system over HTTP, and told apart from the system when they fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import ConfigurationError, OutageError
from toolkit.http import HttpClient

SECRET = "webhook-secret-5f2c"


class _Proxy(BaseHTTPRequestHandler):
    """Wants a password of everybody."""

    def do_CONNECT(self) -> None:
        self.send_error(407, "Proxy Authentication Required")

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def proxy() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask() -> None:
    client = HttpClient("Portal", connect_timeout=5, read_timeout=5)
    client.post_json(f"https://portal.example/rest/1/{SECRET}/", {}, write=True)


def test_one_that_wants_a_password_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(ConfigurationError) as refused:
            ask()
    assert refused.value.code == "proxy_login"
    for word in ("Portal", "407", "HTTPS_PROXY"):
        assert word in refused.value.reason
    assert SECRET not in refused.value.reason


def test_one_that_is_down_is_an_outage_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(OutageError) as refused:
        ask()
    assert "through the proxy (HTTPS_PROXY, NO_PROXY)" in refused.value.reason
    assert SECRET not in refused.value.reason


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_one_that_speaks_socks_is_refused_by_that_name(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:1080")
    with pytest.raises(ConfigurationError) as refused:
        ask()
    assert refused.value.code == "proxy"
    for word in ("SOCKS", "ALL_PROXY", "HTTPS_PROXY"):
        assert word in refused.value.reason
    assert SECRET not in refused.value.reason
