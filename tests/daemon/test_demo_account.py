"""The demo's books balance, and every way in which they may not is found."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.demo.account import Evidence, make_account
from cli.demo.scenario import IN_ERROR_QUEUE, Outside, Sample
from cli.demo.systems import ALL, SYSTEMS, make_scenario
from cli.demo.systems.bitrix import NOBODY, ROLES
from cli.demo.texts import say
from core.errors import InvalidMessageError, PermanentError
from core.messages import Limits, decode_task
from sandbox.bitrix24 import DEFAULT_USERS
from sandbox.camunda import StoredMessage
from sandbox.rabbitmq_install import CHOICES

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def response(sample: Sample, answer: str | None) -> StoredMessage:
    task = {"id": "1"} if answer is None else {"id": "1", "ufResultAnswer_text": answer}
    body = {"original_message": {"task_id": sample.key}, "response_data": {"result": {"task": task}}}
    return StoredMessage({}, json.dumps(body).encode())


def report(sample: Sample) -> StoredMessage:
    body: dict[str, Any] = {"task_id": sample.key, "error": f"refused {sample.key}", "error_ru": f"отказ {sample.key}"}
    if sample.kind == "broken":
        body = {
            "task_id": None,
            "error": "not JSON",
            "error_ru": "не JSON",
            "original_body_base64": base64.b64encode(sample.body).decode(),
        }
    return StoredMessage({}, json.dumps(body).encode())


def good_evidence(tasks: int = 12) -> Evidence:
    """What queues and portal hold after a run in which everything went well."""
    samples = make_scenario("bitrix24").samples(tasks, NOW)
    created = [sample for sample in samples if sample.kind == "task"]
    deal, update = (next(each for each in samples if each.kind == kind) for kind in ("instant", "update"))
    outside = Outside(
        objects={each.key: [str(number)] for number, each in enumerate([*created, deal, update], start=1)},
        answers={sample.key: "ДА" for sample in created},
        finished=len(created),
    )
    return Evidence(
        published=samples,
        outside=outside,
        responses=[*(response(each, "ДА") for each in created), response(deal, None), response(update, None)],
        errors=[report(each) for each in samples if each.kind in IN_ERROR_QUEUE],
    )


def test_a_run_without_faults_balances() -> None:
    account = make_account(good_evidence())
    assert account.is_perfect
    assert (account.sent, account.created, account.instant, account.updated) == (14, 9, 1, 1)
    assert (account.duplicates_avoided, account.completed, len(account.in_error_queue)) == (1, 11, 2)
    assert account.given_answers == {"ДА": 9}


def first_key(evidence: Evidence) -> str:
    return next(iter(evidence.outside.objects))


def without_a_response(good: Evidence) -> Evidence:
    return replace(good, responses=good.responses[1:])


def without_the_report_of_the_broken_message(good: Evidence) -> Evidence:
    return replace(good, errors=[each for each in good.errors if b"base64" not in each.body])


def with_changed_bytes_of_the_broken_message(good: Evidence) -> Evidence:
    changed = [each if b"base64" not in each.body else report_of_other_bytes() for each in good.errors]
    return replace(good, errors=changed)


def report_of_other_bytes() -> StoredMessage:
    body = {
        "task_id": None,
        "error": "not JSON",
        "error_ru": "не JSON",
        "original_body_base64": base64.b64encode(b"other").decode(),
    }
    return StoredMessage({}, json.dumps(body).encode())


def with_a_second_task(good: Evidence) -> Evidence:
    return replace(good, outside=replace(good.outside, objects={**good.outside.objects, first_key(good): ["1", "99"]}))


def with_a_second_response(good: Evidence) -> Evidence:
    return replace(good, responses=[*good.responses, good.responses[0]])


def with_a_response_and_a_report(good: Evidence) -> Evidence:
    return replace(good, errors=[*good.errors, report(good.published[0])])


def with_the_wrong_answer(good: Evidence) -> Evidence:
    return replace(good, outside=replace(good.outside, answers={**good.outside.answers, first_key(good): "НЕТ"}))


def with_a_response_for_a_task_that_is_nowhere(good: Evidence) -> Evidence:
    return replace(good, outside=replace(good.outside, objects={**good.outside.objects, first_key(good): []}))


def with_a_good_task_in_the_error_queue(good: Evidence) -> Evidence:
    return replace(good, responses=good.responses[1:], errors=[*good.errors, report(good.published[0])])


@pytest.mark.parametrize(
    ("spoil", "sums"),
    [
        (without_a_response, {"lost": 1}),
        (without_the_report_of_the_broken_message, {"lost": 1}),
        (with_changed_bytes_of_the_broken_message, {"lost": 1}),
        (with_a_second_task, {"created_twice": 1}),
        (with_a_second_response, {"answered_twice": 1}),
        (with_a_response_and_a_report, {"answered_twice": 1}),
        (with_the_wrong_answer, {"surprising": 1}),
        (with_a_response_for_a_task_that_is_nowhere, {"surprising": 1}),
        (with_a_good_task_in_the_error_queue, {"surprising": 1}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_every_fault_is_found(spoil: Callable[[Evidence], Evidence], sums: dict[str, int]) -> None:
    account = make_account(spoil(good_evidence()))
    nothing = {"lost": 0, "created_twice": 0, "answered_twice": 0, "surprising": 0}
    assert {name: account.as_json()[name] for name in nothing} == {**nothing, **sums}
    assert not account.is_perfect


@pytest.mark.parametrize("name", [*SYSTEMS, ALL])
@pytest.mark.parametrize("more", [0, 1, 23, 200])
def test_the_samples_are_as_many_as_asked_for_and_readable_for_the_daemon(name: str, more: int) -> None:
    scenario = make_scenario(name)
    tasks = scenario.fewest + more
    samples = scenario.samples(tasks, NOW)
    readable = [each for each in samples if each.kind != "broken"]
    assert len({each.key for each in readable}) == tasks
    duplicates = [each for each in samples if each.kind == "duplicate"]
    assert len(readable) == tasks + len(duplicates), "some come twice"
    for sample in readable:
        task = decode_task(sample.body, Limits())
        assert (task.task_id, f"{task.fields['system']}.{task.topic}") == (sample.key, sample.routing_key)
        assert sample.headers["task_id"] == sample.key
    for broken in (each for each in samples if each.kind == "broken"):
        with pytest.raises(InvalidMessageError, match="not JSON"):
            decode_task(broken.body, Limits())
    assert issubclass(InvalidMessageError, PermanentError)
    for number, sample in enumerate(samples):
        before = samples[:number]
        if sample.kind == "duplicate":
            assert sample.body in [each.body for each in samples if each.kind in ("task", "instant")]
        if sample.after is not None:
            assert sample.after in [each.key for each in before], "it comes after what it changes"


def test_everybody_in_the_roles_works_at_the_sandbox() -> None:
    people = {user.id for user in DEFAULT_USERS}
    assert set(ROLES.values()) <= people
    assert NOBODY not in people


def test_every_way_to_a_rabbitmq_is_told_in_both_languages() -> None:
    for key, choice in CHOICES.items():
        assert say("en", f"choice_{key}") == choice
        assert say("ru", f"choice_{key}") != choice
