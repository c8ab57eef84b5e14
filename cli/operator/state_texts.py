"""What the states of a message are called."""

from __future__ import annotations

from collections.abc import Mapping

from core.texts import Text
from journal.states import State

STATES: Mapping[State, Text] = {
    State.WAITING: Text("waits in its queue", "ждёт в очереди"),
    State.PROCESSING: Text("is worked on", "в обработке"),
    State.RETRY_WAIT: Text("waits for a retry", "ждёт повтора"),
    State.TRACKING: Text("a person is at work", "у человека"),
    State.COMPLETING: Text("Camunda is answered next", "дальше ответ Camunda"),
    State.DONE: Text("done", "выполнено"),
    State.FAILED: Text("in the error queue", "в очереди ошибок"),
    State.REJECTED: Text("rejected by a person", "отклонено человеком"),
    State.STUCK: Text("STUCK", "ЗАСТРЯЛО"),
    State.DROPPED: Text("in the archive", "в архиве"),
}
