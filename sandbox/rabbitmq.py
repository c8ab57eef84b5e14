"""A private RabbitMQ node for the demo and the tests: loopback, free ports, own data, random password.

    with RabbitNode(find_server(None)) as node:
        connection = pika.BlockingConnection(node.address.amqp_parameters())

Raises NodeError when the node does not do what it is told. No system service is touched and
nothing is left behind, however the owner ends (see sandbox.node_guard).
"""

from __future__ import annotations

import base64
import json
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from sandbox import erl_call
from sandbox.address import BrokerAddress
from sandbox.node_guard import GuardedFolder
from sandbox.ports import LOOPBACK, ReservedPort
from sandbox.rabbitmq_server import CONFIG_FILE, LOG_FOLDER, Command, NodeError, NodeSpec, Server

START_TIMEOUT = 90.0  # seconds; a quiet machine needs 5
STOP_TIMEOUT = 30.0
CTL_TIMEOUT = 60.0

_START_ATTEMPTS = 3
_MEMORY_LIMIT = "512MB"
_LOG_TAIL = 12_000  # characters; the cause stands before the reports of all that fell with it
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class RabbitNode:
    """One node with one user. `config` is lines of rabbitmq.conf on top of ours, e.g. {"consumer_timeout": "5000"}.

    A plugin's listeners need free ports of the caller in `config`.
    """

    def __init__(self, server: Server, config: Mapping[str, str] | None = None, plugins: Sequence[str] = ()) -> None:
        self._server = server
        self._config = dict(config or {})
        self._plugins = tuple(plugins)
        self._folder = GuardedFolder()
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[ReservedPort] = []
        self._spec = self._new_spec()
        self._user, self._password = "sandbox", secrets.token_urlsafe(24)
        self._started_once = False
        self._version: str | None = None

    @property
    def address(self) -> BrokerAddress:
        """Its default virtual host; valid after the first start, the same after every later one."""
        return BrokerAddress(LOOPBACK, self._spec.amqp_port, self._user, self._password)

    @property
    def folder(self) -> Path:
        """Its data, logs and configuration; removed by `close`."""
        return self._folder.path

    @property
    def version(self) -> str:
        """Of the running server, e.g. "3.10.8"."""
        if self._version is None:
            self._version = self.eval("rabbit_misc:version()").strip('"')
        return self._version

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> RabbitNode:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Returns when the node answers AMQP. Raises NodeError with the end of its log when it does not.

        Later starts keep port, password and data; the very first one tries other ports when one was just taken.
        """
        if self.running:
            return
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._start()
            except NodeError:
                self.kill()
                if self._started_once or attempt == _START_ATTEMPTS or not self._lost_a_port():
                    raise
                self._folder.close()
                self._folder = GuardedFolder()
                self._spec = self._new_spec()
            else:
                return

    def stop(self) -> None:
        """Ends the node in order, as an administrator would; messages stay. Raises NodeError if it would not end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NodeError(f"RabbitMQ did not stop within {STOP_TIMEOUT:.0f} s\n{self.log()}") from None
        self.kill()  # epmd stays when its node goes

    def kill(self) -> None:
        """SIGKILL: the node crashes."""
        self._server.kill(self._spec)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT)
            self._process = None
        if self._started_once:  # else the port may be somebody else's
            self._wait_until_deaf()

    def close(self) -> None:
        """Ends the node without grace and deletes its data."""
        self.kill()
        self._folder.close()
        self._release_ports()

    def eval(self, expression: str) -> str:
        """What an Erlang expression is in the server, written in Erlang. Raises NodeError when it fails.

        By erl_call if it is there, which costs a hundredth of a rabbitmqctl.
        """
        command = self._server.call_command(self._spec)
        if command is None:
            return self.ctl("eval", f"{expression}.").strip()
        done = self._run(command, erl_call.question(expression))
        told = erl_call.answer(done.stdout)
        if told is None:
            raise NodeError(f"erl_call {expression}: exit code {done.returncode}\n{done.stderr}{done.stdout}")
        return told

    def ctl(self, *args: str) -> str:
        """Output of `rabbitmqctl` (about 0.5 s a call). Raises NodeError when it fails."""
        done = self._run(self._server.ctl_command(self._spec, ("--silent", *args)), "")
        if done.returncode != 0:
            raise NodeError(f"rabbitmqctl {' '.join(args)}: exit code {done.returncode}\n{done.stderr}{done.stdout}")
        return done.stdout

    def _run(self, command: Command, given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command.argv,
            env=command.env,
            input=given,
            capture_output=True,
            text=True,
            timeout=CTL_TIMEOUT,
            check=False,
            cwd=self._folder.path,
        )

    def add_vhost(self, name: str) -> BrokerAddress:
        """A virtual host in which our user may do everything."""
        return self.add_vhosts([name])[0]

    def add_vhosts(self, names: Sequence[str], **settings: str) -> list[BrokerAddress]:
        """Several virtual hosts at once, each with `settings` (default_queue_type="quorum")."""
        everything = {"user": self._user, "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name, **settings} for name in names],
            "permissions": [{**everything, "vhost": name} for name in names],
        }
        # As `rabbitmqctl import_definitions` does, which from standard input hangs on 4.0.5 and ends with 70 on 4.3.6.
        encoded = base64.b64encode(json.dumps(definitions).encode()).decode()
        self.eval(f'ok = rabbit_definitions:import_raw(base64:decode("{encoded}"))')
        return [self.address.at(name) for name in names]

    def delete_vhost(self, name: str) -> None:
        """With its queues; connections to it are closed by the broker."""
        self.ctl("delete_vhost", name)

    def delete_vhosts(self, names: Sequence[str]) -> None:
        """Several at once, for which rabbitmqctl has no command."""
        listed = ", ".join(f'<<"{name}">>' for name in names)
        self.eval(f'[ok = rabbit_vhost:delete(Name, <<"sandbox">>) || Name <- [{listed}]]')

    def list_queues(self, vhost: str = "/") -> dict[str, int]:
        """Messages in each queue, delivered but unsettled ones included."""
        pairs = f'[[element(4, Name), N] || [{{_, Name}}, {{_, N}}] <- rabbit_amqqueue:info_all(<<"{vhost}">>, Items)]'
        rows = f"Items = [name, messages], base64:encode_to_string(iolist_to_binary(rabbit_json:encode({pairs})))"
        return dict(json.loads(erl_call.decoded(self.eval(rows))))

    @contextmanager
    def silenced(self, vhost: str, queues: Sequence[str]) -> Iterator[None]:
        """The processes of these queues, the leaders of quorum queues, say nothing within the block."""
        self._tell(vhost, queues, "suspend")
        try:
            yield
        finally:
            self._tell(vhost, queues, "resume")

    def _tell(self, vhost: str, queues: Sequence[str], what: str) -> None:
        names = ", ".join(f'<<"{queue}">>' for queue in queues)
        lookup = f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, Name))'
        self.eval(f"[begin {lookup}, sys:{what}(amqqueue:get_pid(Queue)) end || Name <- [{names}]]")

    def set_memory_alarm(self, on: bool) -> None:
        """With the alarm on, the broker blocks every connection that publishes."""
        self.ctl("set_vm_memory_high_watermark", *(["0.000001"] if on else ["absolute", _MEMORY_LIMIT]))

    def close_all_connections(self, reason: str = "closed by the sandbox") -> None:
        """Every client gets connection.close 320 CONNECTION_FORCED."""
        self.ctl("close_all_connections", "--global", reason)

    def _wait_until_deaf(self) -> None:
        # A dying process loses its memory, and with it its name in /proc, before the kernel closes its sockets.
        deadline = time.monotonic() + STOP_TIMEOUT
        while _accepts(self._spec.amqp_port):
            if time.monotonic() > deadline:
                raise NodeError(f"port {self._spec.amqp_port} still answers after {STOP_TIMEOUT:.0f} s")
            time.sleep(0.01)

    def _new_spec(self) -> NodeSpec:
        # Held while the node is stopped, too: it must find its port again.
        self._release_ports()
        self._ports = [ReservedPort() for _ in range(3)]
        amqp, dist, epmd = (each.port for each in self._ports)
        return NodeSpec(self._folder.path, amqp, dist, epmd, self._plugins)

    def _release_ports(self) -> None:
        for port in self._ports:
            port.release()

    def _start(self) -> None:
        if not (self._spec.folder / CONFIG_FILE).exists():
            self._write_config()
            self._server.prepare(self._spec)
        command = self._server.start_command(self._spec)
        with (self._spec.folder / "startup.log").open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                env=command.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C is for the owner, who ends the node in order
                cwd=self._spec.folder,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None:
                raise NodeError(f"RabbitMQ ended with code {self._process.returncode} while starting\n{self.log()}")
            if time.monotonic() > deadline:
                raise NodeError(f"RabbitMQ gave no answer within {START_TIMEOUT:.0f} s\n{self.log()}")
            time.sleep(0.05)
        self._started_once = True

    def _write_config(self) -> None:
        lines = {
            "listeners.tcp.default": self._server.listener(self._spec),
            "default_user": self._user,
            "default_pass": self._password,
            "vm_memory_high_watermark.absolute": _MEMORY_LIMIT,
            "disk_free_limit.absolute": "50MB",
        }
        text = "".join(f"{name} = {value}\n" for name, value in (lines | self._config).items())
        path = self._spec.folder / CONFIG_FILE
        path.touch(mode=0o600)
        path.write_text(text)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self._spec.amqp_port), timeout=2) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                return connection.recv(1) == b"\x01"  # a method frame: connection.start
        except OSError:
            return False

    def _lost_a_port(self) -> bool:
        log = self.log()
        return any(sign in log for sign in ("eaddrinuse", "already in use", "port is already allocated"))

    def log(self) -> str:
        """The end of what it has written down so far."""
        folder = self._spec.folder
        texts = [
            path.read_text(errors="replace") for path in (folder / "startup.log", *folder.glob(f"{LOG_FOLDER}/*.log"))
        ]
        return "\n".join(text[-_LOG_TAIL:] for text in texts)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
