"""What may be concluded from a failed request, proved on real sockets."""

from __future__ import annotations

import socket
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from core.errors import AmbiguousError, ConfigurationError, OutageError, OutcomeError
from sandbox.bitrix24 import BitrixSandbox, faults
from toolkit.http import HttpClient

SECRET = "s3cr3t-webhook-code"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Script = Callable[[socket.socket, bytes, int], bool]


class ScriptedServer:
    """Reads whole requests and lets a script answer each: `script(connection, request, number) -> keep alive`."""

    def __init__(self, script: Script) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)  # released each time the server has closed a connection
        self._script = script
        self._connection: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/rest/1/{SECRET}/method"

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._connection is not None:
            with suppress(OSError):  # the client or the script may have closed it already
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._connection = connection
            with connection:
                connection.settimeout(10)
                while request := read_request(connection):
                    self.requests.append(request)
                    if not self._script(connection, request, len(self.requests)):
                        break
            self.closed.release()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
    except OSError:
        return b""
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(script: Script) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script)
    try:
        yield server
    finally:
        server.stop()


def client(**changes: float | bool | str | None) -> HttpClient:
    given: dict[str, object] = {"connect_timeout": 2, "read_timeout": 5, **changes}
    return HttpClient("Portal", **given)  # type: ignore[arg-type]


def answer(connection: socket.socket, request: bytes, number: int) -> bool:
    connection.sendall(OK)
    return True


def hang_up(connection: socket.socket, request: bytes, number: int) -> bool:
    return False


def hang_up_once(connection: socket.socket, request: bytes, number: int) -> bool:
    return number > 1 and answer(connection, request, number)


def half_a_body(connection: socket.socket, request: bytes, number: int) -> bool:
    connection.sendall(OK.replace(b"Length: 2", b"Length: 200"))
    return False


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_requests_of_one_thread_share_a_connection_and_each_thread_has_its_own() -> None:
    with BitrixSandbox() as portal:
        http = client()
        url = f"{portal.webhook_url}server.time"
        threads = [
            threading.Thread(target=lambda: [http.post_json(url, {}, write=False) for _ in range(5)]) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert portal.requests.http == 15

    with serving(answer) as server:
        http = client()
        for _ in range(3):
            http.post_json(server.url, {"a": 1}, write=True)
        assert (server.connections, len(server.requests)) == (1, 3)
        http.close()


def test_a_refused_connection_proves_that_nothing_was_executed() -> None:
    with pytest.raises(OutageError) as caught:
        client().post_json(f"http://127.0.0.1:{unused_port()}/rest/1/{SECRET}/x", {}, write=True)
    assert caught.value.code == "unreachable"


def test_a_name_that_does_not_resolve_is_an_outage() -> None:
    with pytest.raises(OutageError, match="cannot be resolved"):
        client().post_json(f"http://no-such-host.invalid/rest/1/{SECRET}/x", {}, write=True)


def test_a_write_whose_answer_never_comes_is_ambiguous_and_a_read_an_outage() -> None:
    with BitrixSandbox() as portal:
        http = client(read_timeout=0.2)
        portal.inject(faults.delay(30), "server.time", count=2)
        with pytest.raises(AmbiguousError) as write:
            http.post_json(f"{portal.webhook_url}server.time", {}, write=True)
        with pytest.raises(OutageError) as read:
            http.post_json(f"{portal.webhook_url}server.time", {}, write=False)
        assert write.value.code == read.value.code == "timeout"


def test_a_write_is_never_sent_twice_when_the_connection_drops() -> None:
    with serving(hang_up) as server:
        with pytest.raises(AmbiguousError) as caught:
            client().post_json(server.url, {"a": 1}, write=True)
        assert caught.value.code == "connection_dropped"
        assert len(server.requests) == 1


def test_a_write_without_a_body_that_is_cut_off_is_ambiguous_too() -> None:
    with serving(hang_up) as server:
        with pytest.raises(AmbiguousError):
            client().send("DELETE", server.url, write=True)
        assert len(server.requests) == 1
    for url in (f"http://127.0.0.1:{unused_port()}/", "http://no-such-host.invalid/"):
        with pytest.raises(OutageError):
            client().send("DELETE", url, write=True)
    with pytest.raises(ConfigurationError):
        client().send("DELETE", "http://[::1", write=True)


def test_a_read_whose_connection_drops_is_asked_once_more() -> None:
    with serving(hang_up_once) as server:
        assert client().post_json(server.url, {}, write=False).json() == {}
        assert len(server.requests) == 2
    with serving(hang_up) as server:
        with pytest.raises(OutageError):
            client().post_json(server.url, {}, write=False)
        assert len(server.requests) == 2


@pytest.mark.parametrize(("write", "outcome"), [(True, AmbiguousError), (False, OutageError)])
def test_half_an_answer_is_no_answer(write: bool, outcome: type[OutcomeError]) -> None:
    with serving(half_a_body) as server, pytest.raises(outcome):
        client().post_json(server.url, {}, write=write)


def test_a_kept_connection_that_the_server_closed_meanwhile_disturbs_nobody() -> None:
    def answer_and_close(connection: socket.socket, request: bytes, number: int) -> bool:
        connection.sendall(OK)
        return False

    with serving(answer_and_close) as server:
        http = client()
        for number in range(1, 4):
            http.post_json(server.url, {"n": number}, write=True)
            assert server.closed.acquire(timeout=10)
        assert len(server.requests) == 3


def test_an_idle_connection_is_given_up_before_the_server_can_close_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.http._IDLE_LIMIT", 0.0)
    with serving(answer) as server:
        http = client()
        http.post_json(server.url, {}, write=True)
        http.post_json(server.url, {}, write=True)
        assert server.connections == 2
        http.close()


@pytest.mark.parametrize("body", [faults.huge_body(), faults.gzip_bomb()], ids=["plain", "packed"])
@pytest.mark.parametrize(("write", "outcome"), [(True, AmbiguousError), (False, OutageError)])
def test_a_body_beyond_the_cap_is_not_read_to_its_end(
    write: bool, outcome: type[OutcomeError], body: faults.Fault
) -> None:
    with BitrixSandbox() as portal:
        portal.inject(body, "server.time")
        tracemalloc.start()
        try:
            with pytest.raises(outcome, match="more than") as caught:
                client().post_json(f"{portal.webhook_url}server.time", {}, write=write)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert caught.value.code == "body_too_large"
        assert most < 50 * 2**20, "of the 100 MiB most must stay unread"


def test_an_endless_trickle_ends_at_the_total_deadline() -> None:
    with BitrixSandbox() as portal:
        portal.inject(faults.trickle(interval=0.01), "server.time")
        with pytest.raises(AmbiguousError, match="did not finish"):
            client(total_timeout=0.3).post_json(f"{portal.webhook_url}server.time", {}, write=True)


def test_a_redirect_is_not_followed_and_names_only_the_new_host() -> None:
    with BitrixSandbox() as portal:
        portal.inject(faults.redirect(f"https://new.example/rest/1/{SECRET}/"), "server.time")
        with pytest.raises(ConfigurationError, match=r"https://new\.example ") as caught:
            client().post_json(f"{portal.webhook_url}server.time", {}, write=True)
        assert SECRET not in str(caught.value)
        assert portal.requests.http == 1


def test_an_untrusted_certificate_is_a_matter_of_configuration_and_its_ca_solves_it() -> None:
    with BitrixSandbox(tls=True) as portal:
        url = f"{portal.webhook_url}server.time"
        with pytest.raises(ConfigurationError) as caught:
            client().post_json(url, {}, write=True)
        assert caught.value.code == "certificate"
        assert client(verify=str(portal.ca_file)).post_json(url, {}, write=True).status == 200


def test_a_ca_file_that_is_missing_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with BitrixSandbox(tls=True) as portal, pytest.raises(ConfigurationError) as caught:
        client(verify=str(tmp_path / "none.pem")).post_json(portal.webhook_url, {}, write=True)
    assert caught.value.code == "ca_file"


def test_plain_http_answered_to_a_tls_client_is_an_outage() -> None:
    with BitrixSandbox() as portal, pytest.raises(OutageError):
        client().post_json(portal.webhook_url.replace("http:", "https:"), {}, write=True)


@pytest.mark.parametrize("url", ["http://", "ftp://host/x", "http://[::1", "no url at all"])
def test_an_unusable_address_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError):
        client().post_json(url, {}, write=True)


def test_no_error_shows_the_secret_in_the_address() -> None:
    scripts = (hang_up, half_a_body)
    errors: list[OutcomeError] = []
    for script in scripts:
        with serving(script) as server:
            errors += failures(server.url)
    errors += failures(f"http://127.0.0.1:{unused_port()}/rest/1/{SECRET}/x")
    errors += failures(f"http://no-such-host.invalid/rest/1/{SECRET}/x")
    errors += failures(f"http://[::1/rest/1/{SECRET}/x")
    assert len(errors) == 10
    for error in errors:
        assert SECRET not in "".join(traceback.format_exception(error))


def failures(url: str) -> list[OutcomeError]:
    caught = []
    for write in (True, False):
        with pytest.raises(OutcomeError) as raised:
            client().post_json(url, {}, write=write)
        caught.append(raised.value)
    return caught


def test_credentials_of_the_home_folder_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password wonderland\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(answer) as server:
        http = client()
        http.post_json(server.url, {}, write=False)
        assert b"authorization" not in server.requests[0].lower()
        http.close()


@pytest.mark.parametrize("keep", [True, False])
def test_a_cookie_is_sent_back_only_where_that_is_wanted(keep: bool) -> None:
    def with_a_cookie(connection: socket.socket, request: bytes, number: int) -> bool:
        connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: ibsession=1; path=/\r\n\r\n"))
        return True

    with serving(with_a_cookie) as server:
        http = client(keep_cookies=keep)
        for _ in range(2):
            http.send("GET", server.url, write=False)
        assert [b"ibsession" in request for request in server.requests] == [False, keep]


def test_the_answer_carries_status_body_and_duration() -> None:
    with BitrixSandbox() as portal:
        before = time.monotonic()
        result = client().post_json(f"{portal.webhook_url}no.such.method", {}, write=False)
        assert result.status == 404
        assert result.json()["error"] == "ERROR_METHOD_NOT_FOUND"
        assert 0 < result.seconds <= time.monotonic() - before
