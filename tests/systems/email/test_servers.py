"""The worker's promises on real mail servers (Debian 12: Postfix 3.7, Exim 4.96, OpenSMTPD 6.8) and on the simulator
that plays them. Every mail is counted behind the server: who has it, and how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from base_handler import HandlerOutcome
from consumers.email.client import SmtpClient
from consumers.email.handler import EmailHandler
from core.errors import (
    BusinessError,
    ConfigurationError,
    OutageError,
    OutcomeError,
    PermanentError,
    TransientError,
)
from core.messages import IncomingMessage
from core.results import Done
from sandbox.email import EmailSandbox
from sandbox.email.servers import Exim, Postfix
from sandbox.proxy import TcpProxy
from tests.support.email_worlds import (
    DIALECTS,
    NAME,
    SITUATIONS,
    WORLDS,
    World,
    servers_tree,
    world_id,
    world_of,
)
from tests.systems.email.support import handler_for, message, settings_for
from toolkit.send_journal import Send, SendJournal

A, B = "a@example.com", "b@example.com"
UNKNOWN = "nobody@example.com"
ELSEWHERE = "x@example.org"
Fine = Callable[[str, bool], World]
MANY = [f"u{number}@example.com" for number in range(25)]

# What a server has against the worker and not against a recipient.
AGAINST_US = [
    (server, is_real, situation)
    for server, is_real in WORLDS
    for situation, given in SITUATIONS[server].items()
    if given.refusal
]


@pytest.fixture(scope="module")
def fine(mail_programs: None) -> Iterator[Fine]:
    """Servers with which nothing is wrong, each started once."""
    worlds: dict[tuple[str, bool], World] = {}
    with ExitStack() as running:

        def fine_world(server: str, is_real: bool) -> World:
            if (server, is_real) not in worlds:
                worlds[server, is_real] = running.enter_context(world_of(server, is_real))
            worlds[server, is_real].sink.forget()
            return worlds[server, is_real]

        yield fine_world


@pytest.fixture(params=WORLDS, ids=world_id)
def world(fine: Fine, request: pytest.FixtureRequest) -> World:
    return fine(*request.param)


def handler_in(world: World, folder: Path, **changes: Any) -> EmailHandler:
    """Calls itself what it is called in the situation, even if the settings would refuse that name."""
    settings = settings_for(world, folder, **changes).model_copy(update={"ehlo_name": world.name})
    return EmailHandler(settings, SmtpClient(settings, threading.Event()), SendJournal(settings.state_dir, "email"))


def outcomes(handler: EmailHandler, messages: list[IncomingMessage]) -> list[HandlerOutcome]:
    return [outcome for _, outcome in handler.handle_batch(messages)]


def accepted(outcome: HandlerOutcome) -> list[str]:
    assert isinstance(outcome, Done)
    found: list[str] = outcome.response["email_accepted"]
    return found


# -- the recipient's fault ---------------------------------------------------------------------------------------------


def test_an_unknown_user_is_told_the_process_and_nobody_else_waits(world: World, tmp_path: Path) -> None:
    handler = handler_in(world, tmp_path)
    unknown, both, good = outcomes(
        handler, [message("1", to=UNKNOWN), message("2", to=[UNKNOWN, A]), message("3", to=B)]
    )
    assert isinstance(unknown, BusinessError)
    assert unknown.code == "EMAIL_REJECTED"
    assert accepted(both) == [A]
    assert accepted(good) == [B]
    handler.probe()
    world.wait_for(2)
    assert world.delivered() == {("2", A): 1, ("3", B): 1}


@pytest.mark.parametrize(("server", "is_real"), WORLDS, ids=map(world_id, WORLDS))
def test_an_unknown_user_stops_nobody_even_if_email_from_is_no_mailbox(
    server: str, is_real: bool, tmp_path: Path
) -> None:
    """noreply@ often is none, and OpenSMTPD says the same of it as of a worker without any right."""
    with world_of(server, is_real, "no mailbox") as world:
        for handler in (handler_in(world, tmp_path), handler_in(world, tmp_path)):  # a restart forgets nothing
            key = str(id(handler))
            good, unknown, next_one = outcomes(
                handler, [message(f"{key}-1", to=A), message(f"{key}-2", to=UNKNOWN), message(f"{key}-3", to=B)]
            )
            assert (accepted(good), accepted(next_one)) == ([A], [B])
            assert isinstance(unknown, BusinessError)
            assert unknown.code == "EMAIL_REJECTED"
        world.wait_for(4)
        assert set(world.delivered().values()) == {1}


def test_a_mail_to_a_domain_that_the_server_does_not_relay_to_stops_no_other(world: World, tmp_path: Path) -> None:
    handler = handler_in(world, tmp_path)
    outside, good = outcomes(handler, [message("1", to=ELSEWHERE), message("2", to=A)])
    for_now = DIALECTS[world.server].relay_denied.startswith("4")
    assert isinstance(outside, TransientError if for_now else BusinessError)
    assert accepted(good) == [A]
    world.wait_for(1)
    assert world.delivered() == {("2", A): 1}


# -- the worker's fault ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "is_real", "situation"),
    AGAINST_US,
    ids=[f"{world_id((server, is_real))}-{situation.replace(' ', '-')}" for server, is_real, situation in AGAINST_US],
)
def test_a_server_that_does_not_want_the_worker_stops_it_and_nothing_is_booked_or_spent(
    server: str, is_real: bool, situation: str, fine: Fine, tmp_path: Path
) -> None:
    given = SITUATIONS[server][situation]
    assert given.refusal
    refusal = DIALECTS[server].refusals[given.refusal]
    with world_of(server, is_real, situation) as world:
        handler = handler_in(world, tmp_path)
        for key, to in (("1", A), ("2", [A, B]), ("3", UNKNOWN), ("4", ELSEWHERE)):
            with pytest.raises(ConfigurationError) as caught:
                handler.handle(message(key, to=to))
            assert refusal.call != "helo" or f"the name {given.name} " in str(caught.value)
            assert refusal.call == "connect" or "EMAIL_EHLO_NAME" in str(caught.value)
        with pytest.raises(ConfigurationError):
            handler.probe()
        assert world.delivered() == {}
    # Somebody mends it; the messages come again, to the same journal.
    good = fine(server, is_real)
    mended = handler_for(good, tmp_path, ehlo_name=NAME)
    mended.probe()
    assert accepted(mended.handle(message("1", to=A))) == [A]
    assert accepted(mended.handle(message("2", to=[A, B]))) == [A, B]
    good.wait_for(3)
    assert good.delivered() == {("1", A): 1, ("2", A): 1, ("2", B): 1}


@pytest.mark.parametrize(("server", "is_real"), WORLDS, ids=map(world_id, WORLDS))
def test_a_server_that_relays_nothing_for_the_worker_stops_it(server: str, is_real: bool, tmp_path: Path) -> None:
    with world_of(server, is_real, "no relaying") as world:
        handler = handler_in(world, tmp_path)
        with pytest.raises(ConfigurationError, match="for nobody, not even for EMAIL_FROM"):
            handler.handle(message("1", to=ELSEWHERE))
        with pytest.raises(ConfigurationError):
            handler.probe()
        assert SendJournal(tmp_path / "state", "email").parts("1") == {}


@pytest.mark.parametrize(("server", "is_real"), WORLDS, ids=map(world_id, WORLDS))
def test_a_right_that_is_lost_on_the_way_stops_the_worker_and_comes_back(
    server: str, is_real: bool, fine: Fine, tmp_path: Path
) -> None:
    lost = "client" if "client" in SITUATIONS[server] else "sender unknown"
    good = fine(server, is_real)
    assert accepted(handler_in(good, tmp_path).handle(message("1", to=A))) == [A]
    with world_of(server, is_real, lost) as world:
        handler = handler_in(world, tmp_path)
        down = outcomes_until_it_stops(handler, [message(str(number), to=B) for number in range(2, 6)])
        assert len(down) == 1, "the others are not even tried"
        assert isinstance(down[0], ConfigurationError)
    assert accepted(handler_in(good, tmp_path).handle(message("2", to=B))) == [B]


def outcomes_until_it_stops(handler: EmailHandler, messages: list[IncomingMessage]) -> list[HandlerOutcome]:
    found = []
    try:
        for _, outcome in handler.handle_batch(messages):
            found.append(outcome)
    except OutcomeError:
        pass
    return found


@pytest.mark.parametrize("server", SITUATIONS)
def test_without_a_name_of_its_own_the_worker_gives_its_address_which_strict_servers_take(
    server: str, tmp_path: Path
) -> None:
    """In a container the machine's name is a bare id."""
    strict = "bare name" if server == "OpenSMTPD" else "bare name at once"
    with world_of(server, True, strict) as world:
        handler = handler_for(world, tmp_path)  # as this machine calls itself
        assert accepted(handler.handle(message("1", to=A))) == [A]


# -- what one connection may cost --------------------------------------------------------------------------------------


def test_many_refusals_cost_nobody_his_mail(world: World, tmp_path: Path) -> None:
    handler = handler_in(world, tmp_path)
    unknown = [f"n{number}@example.com" for number in range(30)]
    result = handler.handle(message("1", to=[*unknown[:15], A, *unknown[15:], B]))
    assert isinstance(result, Done)
    assert result.response["email_accepted"] == [A, B]
    assert list(result.response["email_refused"]) == unknown
    got = outcomes(handler, [message(f"{number}", to=UNKNOWN) for number in range(100, 115)])
    assert {type(each) for each in got} == {BusinessError}
    world.wait_for(2)
    assert world.delivered() == {("1", A): 1, ("1", B): 1}


def test_more_than_ten_mails_arrive_at_once_each_once(world: World, tmp_path: Path) -> None:
    """Nobody waits for a queue run: Exim's comes every half an hour."""
    handler = handler_in(world, tmp_path)
    batch = outcomes(handler, [message(str(number), to=A) for number in range(20)])
    assert [accepted(each) for each in batch] == [[A]] * 20
    assert accepted(handler.handle(message("many", to=MANY))) == MANY
    world.wait_for(45)
    assert world.delivered() == {
        **{(str(number), A): 1 for number in range(20)},
        **{("many", each): 1 for each in MANY},
    }
    assert handler.get_stats()["connections"] == 5


# -- a wire that fails, and patience that ends -------------------------------------------------------------------------


def test_a_server_that_says_nothing_is_an_outage_and_the_mail_goes_out_once_afterwards(
    world: World, tmp_path: Path
) -> None:
    with TcpProxy("127.0.0.1", world.port) as wire:
        handler = handler_for(wire, tmp_path, ehlo_name=NAME, connect_timeout=0.5, command_timeout=0.5)
        wire.stall()
        with pytest.raises(OutageError):
            handler.handle(message("1", to=A))
        with pytest.raises(OutageError):
            handler.probe()
        wire.stall(False)
        patient = handler_for(wire, tmp_path, ehlo_name=NAME)
        patient.probe()
        assert accepted(patient.handle(message("1", to=A))) == [A]
        world.wait_for(1)
        assert world.delivered() == {("1", A): 1}


class SlowWire(SendJournal):
    """From the moment at which a mail may be in the server's hands, nothing comes through in time."""

    def __init__(self, wire: TcpProxy, folder: Path) -> None:
        super().__init__(folder, "email")
        self._wire = wire

    def begin(self, task_id: str, part: str, known: Send | None = None) -> None:
        super().begin(task_id, part, known)
        self._wire.delay(1.5)


@pytest.mark.parametrize(("on_ambiguous", "copies"), [("resend", 2), ("fail", 1)])
def test_a_lost_answer_to_a_mail_is_settled_as_the_operator_wants(
    on_ambiguous: str, copies: int, world: World, tmp_path: Path
) -> None:
    """The server has the mail, and nobody heard it say so."""
    with TcpProxy("127.0.0.1", world.port) as wire:
        settings = settings_for(wire, tmp_path, ehlo_name=NAME, data_timeout=0.5, on_ambiguous=on_ambiguous)
        journal = SlowWire(wire, settings.state_dir)
        handler = EmailHandler(settings, SmtpClient(settings, threading.Event()), journal)
        with pytest.raises(TransientError, match=r"in doubt: a@example\.com .*not tried yet: b@example\.com"):
            handler.handle(message("1", to=[A, B]))
        wire.restore()
        world.wait_for(1)
        again = handler_for(wire, tmp_path, ehlo_name=NAME, on_ambiguous=on_ambiguous)
        if on_ambiguous == "resend":
            assert accepted(again.handle(message("1", to=[A, B], attempt=2))) == [A, B]
        else:
            with pytest.raises(PermanentError, match=f"taken for {B}; in doubt: {A}"):
                again.handle(message("1", to=[A, B], attempt=2))
        world.wait_for(copies + 1)
        assert world.delivered() == {("1", A): copies, ("1", B): 1}


def test_a_connection_that_is_cut_between_two_mails_costs_none_of_them(world: World, tmp_path: Path) -> None:
    with TcpProxy("127.0.0.1", world.port) as wire:
        handler = handler_for(wire, tmp_path, ehlo_name=NAME)
        got = []
        for _, outcome in handler.handle_batch([message(str(number), to=A) for number in range(6)]):
            got.append(accepted(outcome))
            if len(got) % 2 == 0:
                wire.cut()
        assert got == [[A]] * 6
        world.wait_for(6)
        assert world.delivered() == {(str(number), A): 1 for number in range(6)}


@pytest.mark.parametrize("server", ["Postfix", "Exim"])
def test_a_server_that_hangs_up_on_an_idle_worker_costs_no_mail(server: str, tmp_path: Path) -> None:
    """421 in place of the next answer: smtpd_timeout, smtp_receive_timeout. OpenSMTPD's five minutes are built in."""
    tree = servers_tree()
    with EmailSandbox() as sink:
        impatient = (
            Postfix(tree, sink.port, {"smtpd_timeout": "1s"})
            if server == "Postfix"
            else Exim(tree, sink.port, {"smtp_receive_timeout": "1s"})
        )
        with impatient as real:
            world = World(server, True, real.port, NAME, sink)
            handler = handler_in(world, tmp_path)
            got = []
            for _, outcome in handler.handle_batch([message(str(number), to=A) for number in range(3)]):
                got.append(accepted(outcome))
                time.sleep(1.6)
            assert got == [[A]] * 3
            world.wait_for(3)
            assert world.delivered() == {(str(number), A): 1 for number in range(3)}
