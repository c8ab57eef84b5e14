"""The two walks of a message through the house, as diagrams: every hop is a function that the code has.

`named_by` is the function that names the hop, where it is not the hop before: what is handed over to another thread is
named where it is handed over. `unknown` finds hops that the code does not have any more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.texts import Language, Text

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Hop:
    """`function` is `module:function` or `module:Class.function`; `does` is what happens there."""

    function: str
    thread: Text
    does: Text
    named_by: str | None = None

    @property
    def name(self) -> str:
        return self.function.rpartition(".")[2].rpartition(":")[2]


CONSUMER = Text("consumer I/O", "ввод-вывод consumer")
QUEUE = Text("queue's thread", "поток очереди")
PUBLISHER = Text("publisher I/O", "ввод-вывод publisher")
SETTLING = Text("settling", "завершение")
TRACKER = Text("tracker", "трекер")

TO_THE_SENT_QUEUE: Sequence[Hop] = (
    Hop(
        "rabbitmq_consumer:RabbitMQConsumer._on_message",
        CONSUMER,
        Text("a delivery comes", "приходит сообщение"),
        named_by="rabbitmq_consumer:RabbitMQConsumer._consume",
    ),
    Hop(
        "rabbitmq_consumer:RabbitMQConsumer._hand_over",
        CONSUMER,
        Text("hands over what came together", "передаёт пришедшее вместе"),
    ),
    Hop(
        "message_processor:MessageProcessor._take_in",
        CONSUMER,
        Text("puts it into the queue's box", "кладёт в ящик очереди"),
        named_by="message_processor:MessageProcessor.__init__",
    ),
    Hop(
        "processing.intake:Intake.next",
        QUEUE,
        Text("takes a batch", "берёт пачку"),
        named_by="message_processor:MessageProcessor._work",
    ),
    Hop(
        "message_processor:MessageProcessor._process",
        QUEUE,
        Text("waits until a result could be stored", "ждёт, пока результат можно будет сохранить"),
        named_by="message_processor:MessageProcessor._work",
    ),
    Hop(
        "message_processor:MessageProcessor._admit",
        QUEUE,
        Text("keeps what is ours", "оставляет то, что наше"),
    ),
    Hop(
        "processing.in_flight:InFlight.begin",
        QUEUE,
        Text("reads its history", "читает историю"),
    ),
    Hop(
        "message_processor:MessageProcessor._decode",
        QUEUE,
        Text("reads the task", "читает задачу"),
        named_by="message_processor:MessageProcessor._admit",
    ),
    Hop(
        "core.messages:decode_task",
        QUEUE,
        Text("strictly, by the contract", "строго, по контракту"),
    ),
    Hop(
        "message_processor:MessageProcessor._handle",
        QUEUE,
        Text("gives the batch to the handler", "отдаёт пачку обработчику"),
        named_by="message_processor:MessageProcessor._process",
    ),
    Hop(
        "processing.crash_journal:CrashSlot.begin",
        QUEUE,
        Text("notes what a crash would be blamed on", "записывает, кого винить при гибели"),
    ),
    Hop(
        "base_handler:BaseMessageHandler.handle_backlog",
        QUEUE,
        Text("the system creates the task", "система создаёт задачу"),
        named_by="message_processor:MessageProcessor._handle",
    ),
    Hop(
        "processing.settlement:Settler.settle",
        QUEUE,
        Text("acts on the outcome", "действует по исходу"),
        named_by="message_processor:MessageProcessor._handle",
    ),
    Hop("processing.settlement:Settler._store_result", QUEUE, Text("a result", "результат")),
    Hop("core.envelopes:encode_sent", QUEUE, Text("the sent message", "сообщение об отправке")),
    Hop(
        "rabbitmq_publisher:RabbitMQPublisher.publish",
        QUEUE,
        Text("gives a future", "возвращает future"),
        named_by="processing.settlement:Settler._publish",
    ),
    Hop("broker.mailbox:Mailbox.put", QUEUE, Text("wakes the I/O thread", "будит поток ввода-вывода")),
    Hop(
        "rabbitmq_publisher:RabbitMQPublisher._sort",
        PUBLISHER,
        Text("sorts by queue", "раскладывает по очередям"),
        named_by="rabbitmq_publisher:RabbitMQPublisher.__init__",
    ),
    Hop("broker.outgoing_queue:OutgoingQueue.flow", PUBLISHER, Text("in portions", "порциями")),
    Hop("broker.publishing_channel:PublishingChannel.send", PUBLISHER, Text.of("mandatory, persistent")),
    Hop(
        "broker.publishing_channel:PublishingChannel._on_confirm",
        PUBLISHER,
        Text("RabbitMQ has it", "RabbitMQ принял"),
        named_by="broker.publishing_channel:PublishingChannel._on_open",
    ),
    Hop("broker.outgoing_queue:OutgoingQueue.on_stored", PUBLISHER, Text("the future is done", "future готов")),
    Hop(
        "processing.confirmations:Confirmations.put",
        PUBLISHER,
        Text("what follows is done elsewhere", "следующее – в другом потоке"),
        named_by="processing.settlement:Settler._publish",
    ),
    Hop(
        "processing.settlement:Settler._on_stored",
        SETTLING,
        Text("the result is durable", "результат сохранён"),
        named_by="processing.settlement:Settler._store_result",
    ),
    Hop("processing.settlement:Settler._on_handled", SETTLING, Text("told as an event", "сообщается событием")),
    Hop("rabbitmq_consumer:RabbitMQConsumer.ack", SETTLING, Text("only now", "только теперь")),
    Hop(
        "rabbitmq_consumer:RabbitMQConsumer._flush",
        CONSUMER,
        Text("acknowledges", "подтверждает"),
        named_by="rabbitmq_consumer:RabbitMQConsumer.__init__",
    ),
    Hop("broker.subscription:Subscription.send_acks", CONSUMER, Text("many at once", "сразу много")),
)

TO_CAMUNDA: Sequence[Hop] = (
    Hop(
        "tracking.tracker_thread:TrackerThread._sweep_once",
        TRACKER,
        Text("every interval, or woken", "каждый интервал или по сигналу"),
        named_by="tracking.tracker_thread:TrackerThread._run",
    ),
    Hop(
        "tracking.sweeper:Sweeper.sweep",
        TRACKER,
        Text("one sweep", "один проход"),
        named_by="tracking.tracker_thread:TrackerThread._try_to_sweep",
    ),
    Hop(
        "broker.taken_queue:Taking.opened",
        TRACKER,
        Text("on a connection of its own", "на своём соединении"),
        named_by="tracking.sweeper:Sweeper.sweep",
    ),
    Hop(
        "tracking.asking:Asking.changes",
        TRACKER,
        Text("what has changed?", "что изменилось?"),
        named_by="tracking.sweeper:Sweeper._sweep_large",
    ),
    Hop(
        "tracking.changed_tasks:ChangedTasks.wanted",
        TRACKER,
        Text("what to look for", "кого искать"),
        named_by="tracking.sweeper:Sweeper._sweep_large",
    ),
    Hop(
        "tracking.passage:Passage.go_through",
        TRACKER,
        Text("one queue after the other", "одна очередь за другой"),
        named_by="tracking.sweeper:Sweeper._go_through",
    ),
    Hop(
        "broker.taken_queue:TakenQueue.take",
        TRACKER,
        Text("takes a portion", "берёт порцию"),
        named_by="tracking.passage:Passage.go_through",
    ),
    Hop(
        "tracking.passage:Passage._sort",
        TRACKER,
        Text("by headers alone", "по одним заголовкам"),
        named_by="tracking.passage:Passage.go_through",
    ),
    Hop("core.envelopes:decode_sent_header", TRACKER, Text("parses no body", "тело не разбирается")),
    Hop(
        "tracking.asking:Asking.verdicts",
        TRACKER,
        Text("the system is asked in bulk", "система спрашивается пачкой"),
        named_by="tracking.passage:Passage.settle",
    ),
    Hop(
        "tracking.passage:Passage._settle",
        TRACKER,
        Text("acts on each verdict", "действует по каждому решению"),
        named_by="tracking.passage:Passage.settle",
    ),
    Hop("tracking.responses:Responses.publish", TRACKER, Text("the response", "ответ")),
    Hop(
        "core.envelopes:encode_response", TRACKER, Text("as Camunda's side reads it", "как его читает сторона Camunda")
    ),
    Hop(
        "rabbitmq_publisher:RabbitMQPublisher.publish",
        TRACKER,
        Text("confirmed, as above", "с подтверждением, как выше"),
        named_by="tracking.responses:Responses._send",
    ),
    Hop(
        "tracking.responses:Responses.tell_confirmed",
        TRACKER,
        Text("told as an event", "сообщается событием"),
        named_by="tracking.passage:Passage._wait",
    ),
    Hop(
        "broker.taken_queue:TakenQueue.ack",
        TRACKER,
        Text("only now", "только теперь"),
        named_by="tracking.passage:Passage._settle",
    ),
)


def diagram(walk: Sequence[Hop], lang: Language) -> str:
    """The walk as a Mermaid diagram, a frame for each stay in a thread."""
    lines = ["```mermaid", "flowchart TD"]
    stay, thread = 0, None
    for number, hop in enumerate(walk):
        if hop.thread is not thread:
            if thread is not None:
                lines.append("    end")
            stay, thread = stay + 1, hop.thread
            lines.append(f'    subgraph s{stay}["{thread.say(lang)}"]')
        where = hop.function.replace(":", ".").rpartition(".")[0]
        lines.append(f'        h{number}["{where}<br/><b>{hop.name}</b><br/>{hop.does.say(lang)}"]')
    lines.append("    end")
    lines += (f"    h{number} --> h{number + 1}" for number in range(len(walk) - 1))
    return "\n".join([*lines, "```"])


def unknown(walk: Sequence[Hop]) -> Iterator[str]:
    """What the code does not have, or does not name where the walk says so."""
    before: Hop | None = None
    for hop in walk:
        if not source(hop.function):
            yield f"there is no {hop.function}"
        namer = hop.named_by or (before.function if before else None)
        if namer is not None and hop.name not in _names(source(namer)):
            yield f"{namer} does not name {hop.function}"
        before = hop


@cache
def source(function: str) -> str:
    """The source of `module:Class.function`; empty when there is none."""
    module, _, path = function.partition(":")
    file = ROOT / f"{module.replace('.', '/')}.py"
    text = file.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for name in path.split("."):
        kinds = (ast.ClassDef, ast.FunctionDef)
        found = [each for each in getattr(node, "body", ()) if isinstance(each, kinds) and each.name == name]
        if not found:
            return ""
        [node] = found
    return ast.get_source_segment(text, node) or ""


def _names(text: str) -> set[str]:
    tree = ast.parse(text if text.startswith(("def ", "class ")) else f"class _:\n    {text}")
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
