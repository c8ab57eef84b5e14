"""Says where a message stands now, what keeps it from going on, and what happens next and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker.depths import Depth
from core.holds import Scope
from core.texts import Text
from journal.records import MessageRecord
from journal.states import State
from operation.stages import error_of

_TRACKED = (State.TRACKING, State.COMPLETING)
_ENDED = (State.DONE, State.FAILED, State.REJECTED, State.DROPPED)
_BACK = Text("is back in {queue}", "снова в {queue}")
_UNKNOWN = Text("is not known", "неизвестно")
_STANDING: Mapping[State, Text] = {
    State.WAITING: Text("waits in {queue}", "ждёт в {queue}"),
    State.PROCESSING: Text("{system} is asked to do it", "передано в {system}"),
    State.RETRY_WAIT: Text("waits for its next attempt: {why}", "ждёт следующей попытки: {why}"),
    State.TRACKING: Text("people are at work on it in {system}", "в {system} над ней работают люди"),
    State.COMPLETING: Text("is done, its result is in {sent}", "готово, результат в {sent}"),
    State.DONE: Text("is done", "готово"),
    State.FAILED: Text("is in {errors}: {why}", "в {errors}: {why}"),
    State.REJECTED: Text("is in {errors}: {why}", "в {errors}: {why}"),
    State.STUCK: Text("could be neither stored nor parked: {why}", "не удалось ни сохранить, ни отложить: {why}"),
    State.DROPPED: Text("was dropped by a person and is in the archive", "убрано человеком, лежит в архиве"),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What has to do with a message on its way. `worker` is what one of this machine says of its system.

    `is_served`: somebody works, here or elsewhere. `depths` by queue, as far as RabbitMQ could be asked. `now` in unix
    seconds.
    """

    worker: Mapping[str, Any] | None
    is_served: bool
    depths: Mapping[str, Depth | None]
    sent_queue: str | None
    responses_queue: str
    errors_queue: str
    now: float


@dataclass(frozen=True, slots=True)
class Prospect:
    """One thing that is to come, or that keeps it from coming. `at` in unix seconds, where a moment is known."""

    said: Text
    at: float | None = None
    is_obstacle: bool = False


def standing_of(message: MessageRecord, around: Surroundings) -> Text:
    """Return where the message is."""
    why = error_of({"code": message.code, "reason": message.reason, "reason_ru": message.reason_ru})
    told = {
        "queue": message.queue or "?",
        "system": message.system or "?",
        "sent": around.sent_queue,
        "errors": around.errors_queue,
    }
    said = _BACK if _is_back(message, around) else _STANDING.get(message.state or State.WAITING, _UNKNOWN)
    return Text(said.en.format(**told, why=why.en), said.ru.format(**told, why=why.ru))


def prospects_of(message: MessageRecord, around: Surroundings) -> list[Prospect]:
    """Return what happens next; what keeps it from happening comes first."""
    if message.state in _ENDED:
        return list(_after_the_end(message, around))
    obstacles = list(_obstacles(message, around))
    stands_still = any(each.is_obstacle for each in obstacles)
    return [*obstacles, *_next(message, around, stands_still=stands_still)]


def _obstacles(message: MessageRecord, around: Surroundings) -> Iterator[Prospect]:
    worker, system = around.worker, message.system or "?"
    if worker is None:
        yield from _without_worker(system, around)
        return
    work: Scope = "track" if message.state in _TRACKED else "create"
    hold, down, sweep_failed = worker.get("hold"), worker.get("down"), (worker.get("tracker") or {}).get("trouble")
    if hold is not None and hold["scope"] in (work, "all"):
        why = f": {hold['reason']}" if hold["reason"] else ""
        end = Text("until", "до") if hold["until"] is not None else Text.of(f"main.py resume {system}")
        yield Prospect(
            Text(
                f"{system} is paused by {hold['by']}{why}; {end.en}", f"{system} на паузе ({hold['by']}){why}; {end.ru}"
            ),
            hold["until"],
            is_obstacle=True,
        )
    if down is not None and work == "create":
        reason = down["reason"]
        said = Text(f"{system} is down: {reason['en']}; tried again", f"{system} недоступна: {reason['ru']}; проверка")
        yield Prospect(said, down["next_probe"], is_obstacle=True)
    if sweep_failed is not None and work == "track":
        said = Text(
            f"the last sweep did not get through: {sweep_failed}", f"последний проход не удался: {sweep_failed}"
        )
        yield Prospect(said, is_obstacle=False)
    if (unused := worker.get("unused")) is not None:
        said = Text(f"{system} is not in use: {unused['en']}", f"{system} не используется: {unused['ru']}")
        yield Prospect(said, is_obstacle=True)
    elif work == "track" and not worker.get("is_tracked"):
        said = Text(f"nobody tracks {around.sent_queue}", f"{around.sent_queue} никто не отслеживает")
        yield Prospect(said, is_obstacle=True)


def _without_worker(system: str, around: Surroundings) -> Iterator[Prospect]:
    if around.is_served:
        nobody = Text(
            f"no worker here works on {system}, one elsewhere does: its commands know more",
            f"здесь {system} никто не обслуживает, воркер работает в другом месте: его команды знают больше",
        )
    else:
        nobody = Text("no worker runs: main.py starts one", "воркер не запущен: его запускает main.py")
    yield Prospect(nobody, is_obstacle=not around.is_served)


def _next(message: MessageRecord, around: Surroundings, *, stands_still: bool) -> Iterator[Prospect]:
    sweeps = (around.worker or {}).get("sweeps") or {}
    match message.state:
        case State.RETRY_WAIT if message.due is not None and message.due > around.now:
            attempt = (message.attempts or 1) + 1
            yield Prospect(Text(f"attempt {attempt}", f"попытка {attempt}"), message.due)
        case State.WAITING | State.RETRY_WAIT | State.PROCESSING if stands_still:
            pass
        case State.WAITING | State.RETRY_WAIT:
            waiting = around.depths.get(message.queue or "")
            count = (
                Text("", "") if waiting is None else Text(f": {waiting.messages} wait", f": ждут {waiting.messages}")
            )
            yield Prospect(
                Text(
                    f"the worker takes it from {message.queue}{count.en}",
                    f"воркер берёт её из {message.queue}{count.ru}",
                )
            )
        case State.STUCK:
            again = Text(
                "RabbitMQ delivers it again after the next reconnect or restart of the worker",
                "RabbitMQ доставит снова после переподключения или перезапуска воркера",
            )
            yield Prospect(again)
        case State.TRACKING | State.COMPLETING if sweeps and not stands_still:
            if sweeps["next"] is None:
                yield Prospect(Text("the tracker goes through its queue now", "трекер сейчас проходит очередь"))
            else:
                yield Prospect(Text("the next sweep of the tracker", "следующий проход трекера"), sweeps["next"])


def _after_the_end(message: MessageRecord, around: Surroundings) -> Iterator[Prospect]:
    name = message.name
    if message.state is State.DROPPED:
        yield Prospect(Text.of(f"main.py errors restore {name}"))
    elif message.state in (State.FAILED, State.REJECTED):
        act = Text("a person must act", "нужен человек")
        commands = f"main.py errors show {name}, main.py errors retry {name}"
        yield Prospect(Text(f"{act.en}: {commands}", f"{act.ru}: {commands}"), is_obstacle=True)
    elif (responses := around.depths.get(around.responses_queue)) is not None:
        yield _camunda(around.responses_queue, responses)


def _camunda(queue: str, depth: Depth) -> Prospect:
    if not depth.messages:
        return Prospect(Text(f"{queue} is empty: Camunda's side has it", f"{queue} пуста: ответ у стороны Camunda"))
    counts = Text(
        f"{depth.messages} wait there, {depth.consumers} readers",
        f"там ждут {depth.messages}, читателей {depth.consumers}",
    )
    return Prospect(
        Text(f"Camunda's side takes it from {queue}: {counts.en}", f"сторона Camunda берёт его из {queue}: {counts.ru}")
    )


def _is_back(message: MessageRecord, around: Surroundings) -> bool:
    """Whether the message waits in its queue again, of which the journal hears only with its next delivery."""
    if message.state is State.RETRY_WAIT:
        return message.due is not None and message.due <= around.now
    is_down = around.worker is not None and around.worker.get("down") is not None
    return message.state is State.PROCESSING and (is_down or not around.is_served)
