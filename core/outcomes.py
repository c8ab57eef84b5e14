"""Defines what can become of a message, as one table; the policy, the statistics and the documents are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from core.texts import Text


class Outcome(StrEnum):
    """The words for outcomes in logs, error reports and statistics."""

    ACCEPTED = "accepted"
    DONE = "done"
    BUSINESS = "business"
    PERMANENT = "permanent"
    TRANSIENT = "transient"
    OUTAGE = "outage"
    PARTIAL_OUTAGE = "partial_outage"
    CONFIGURATION = "configuration"
    AMBIGUOUS = "ambiguous"
    LOST = "lost"


# Those that are raised (core.errors). core.policy decides about each: the type checker finds one that it forgets.
FailedOutcome = Literal[
    Outcome.BUSINESS,
    Outcome.PERMANENT,
    Outcome.TRANSIENT,
    Outcome.OUTAGE,
    Outcome.PARTIAL_OUTAGE,
    Outcome.CONFIGURATION,
    Outcome.AMBIGUOUS,
    Outcome.LOST,
]


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What an outcome means and leads to.

    `spends_attempt` None: the message is not tried again. `only_waits`: the message was well, so this is no failure of
    it, and the system has not done anything for it.
    """

    meaning: Text
    consequence: Text
    spends_attempt: bool | None = None
    only_waits: bool = False


OUTCOMES: Mapping[Outcome, OutcomeRow] = MappingProxyType(
    {
        Outcome.ACCEPTED: OutcomeRow(
            Text(
                "created (or found); a person will finish it",
                "создана (или найдена); завершит человек",
            ),
            Text(
                "sent queue, acknowledge",
                "очередь отправленных, подтверждение",
            ),
        ),
        Outcome.DONE: OutcomeRow(
            Text(
                "finished at once",
                "завершена сразу",
            ),
            Text(
                "sent queue, acknowledge; the tracker forwards it at once",
                "очередь отправленных, подтверждение; трекер сразу пересылает",
            ),
        ),
        Outcome.BUSINESS: OutcomeRow(
            Text(
                "the system refused for a reason that the process should know",
                "система отказала по причине, которую процессу стоит знать",
            ),
            Text(
                "error queue",
                "очередь ошибок",
            ),
        ),
        Outcome.PERMANENT: OutcomeRow(
            Text(
                "this message can never succeed",
                "это сообщение никогда не удастся выполнить",
            ),
            Text(
                "error queue at once",
                "сразу очередь ошибок",
            ),
        ),
        Outcome.TRANSIENT: OutcomeRow(
            Text(
                "may succeed soon",
                "скоро может получиться",
            ),
            Text(
                "again later, growing delay with jitter; after `RETRY_ATTEMPTS` retries the error queue",
                "позже снова, пауза растёт, с разбросом; после `RETRY_ATTEMPTS` повторов – очередь ошибок",
            ),
            spends_attempt=True,
        ),
        Outcome.OUTAGE: OutcomeRow(
            Text(
                "the system is down or unreachable",
                "система упала или недоступна",
            ),
            Text(
                "pause this system, probe it, go on by itself",
                "пауза этой системы, проверки, продолжение само собой",
            ),
            spends_attempt=False,
            only_waits=True,
        ),
        Outcome.PARTIAL_OUTAGE: OutcomeRow(
            Text(
                "one part of the system is down or asks for patience: a service, a chat",
                "недоступна или просит подождать часть системы: сервис, чат",
            ),
            Text(
                "only this message waits and comes again",
                "ждёт и приходит снова только это сообщение",
            ),
            spends_attempt=False,
            only_waits=True,
        ),
        Outcome.CONFIGURATION: OutcomeRow(
            Text(
                "credentials, rights or set-up are wrong",
                "неверны доступ, права или настройка",
            ),
            Text(
                "as outage, but logged as an error",
                "как outage, но в журнале это ошибка",
            ),
            spends_attempt=False,
            only_waits=True,
        ),
        Outcome.AMBIGUOUS: OutcomeRow(
            Text(
                "the request may have been executed",
                "запрос мог быть выполнен",
            ),
            Text(
                "look up again after a while; after 20 doubts the error queue (another message of the task in "
                "the worker's own hands is no doubt)",
                "через некоторое время новый поиск; после 20 сомнений – очередь ошибок (другое сообщение той же "
                "задачи в руках самого воркера – не сомнение)",
            ),
            spends_attempt=False,
        ),
        Outcome.LOST: OutcomeRow(
            Text(
                "RabbitMQ may have given the message to another worker",
                "RabbitMQ мог отдать сообщение другому воркеру",
            ),
            Text(
                "nothing is begun and nothing told; RabbitMQ delivers it again",
                "ничего не начинается и не сообщается; RabbitMQ доставит его снова",
            ),
            spends_attempt=False,
            only_waits=True,
        ),
    }
)
