"""The client against a real portal: codes become outcomes, limits become waits, batches stay safe."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bitrix.batch import Answer, Command, flatten
from consumers.bitrix.client import BitrixClient
from consumers.bitrix.errors import RULES, UnclearAnswerError, outcome_of, readable
from core.errors import (
    AmbiguousError,
    ConfigurationError,
    NotConfiguredError,
    OutageError,
    OutcomeError,
    PermanentError,
    StoppingError,
    TransientError,
)
from sandbox.bitrix24 import BitrixSandbox, faults, php
from sandbox.bitrix24.limits import RateLimit
from sandbox.http_front import RawAnswer
from tests.systems.bitrix.support import client_for, settings_for

ADD = {"fields": {"TITLE": "Договор", "RESPONSIBLE_ID": 1}}

# code, HTTP status, outcome of a write, outcome of a read
ERROR_TABLE = [
    ("OVERLOAD_LIMIT", 503, ConfigurationError, ConfigurationError),
    ("OPERATION_TIME_LIMIT", 429, OutageError, OutageError),
    ("INTERNAL_SERVER_ERROR", 500, UnclearAnswerError, TransientError),
    ("ERROR_UNEXPECTED_ANSWER", 500, UnclearAnswerError, TransientError),
    ("NO_AUTH_FOUND", 401, ConfigurationError, ConfigurationError),
    ("expired_token", 401, ConfigurationError, ConfigurationError),
    ("INVALID_CREDENTIALS", 403, ConfigurationError, ConfigurationError),
    ("insufficient_scope", 403, ConfigurationError, ConfigurationError),
    ("ACCESS_DENIED", 403, ConfigurationError, ConfigurationError),
    ("ACCESS_DENIED", 400, PermanentError, PermanentError),
    ("user_access_error", 403, ConfigurationError, ConfigurationError),
    ("INVALID_REQUEST", 400, ConfigurationError, ConfigurationError),
    ("ERROR_METHOD_NOT_FOUND", 404, ConfigurationError, ConfigurationError),
    ("ERROR_MANIFEST_IS_NOT_AVAILABLE", 404, ConfigurationError, ConfigurationError),
    ("PORTAL_DELETED", 500, ConfigurationError, ConfigurationError),
    ("ERROR_BATCH_METHOD_NOT_ALLOWED", 405, ConfigurationError, ConfigurationError),
    ("ERROR_BATCH_LENGTH_EXCEEDED", 400, ConfigurationError, ConfigurationError),
    ("ERROR_CORE", 400, PermanentError, PermanentError),
    ("0", 400, PermanentError, PermanentError),
    ("100", 400, PermanentError, PermanentError),
    ("", 400, PermanentError, PermanentError),
    ("1048582", 400, PermanentError, PermanentError),
    ("ILLEGAL_NEW_LINK", 400, PermanentError, PermanentError),
    ("ACTION_NOT_ALLOWED", 400, PermanentError, PermanentError),
    ("CRM_FIELD_ERROR_VALUE_NOT_VALID", 400, PermanentError, PermanentError),
    ("NOT_FOUND", 400, PermanentError, PermanentError),
    ("A_CODE_OF_TOMORROW", 400, PermanentError, PermanentError),
    ("A_CODE_OF_TOMORROW", 403, ConfigurationError, ConfigurationError),
    ("A_CODE_OF_TOMORROW", 502, UnclearAnswerError, TransientError),
    ("A_CODE_OF_TOMORROW", 429, OutageError, OutageError),
]


@pytest.mark.parametrize(("code", "status", "of_write", "of_read"), ERROR_TABLE)
@pytest.mark.parametrize("spelling", [str.upper, str.lower])
@pytest.mark.parametrize("write", [True, False])
def test_each_code_has_its_outcome_whatever_its_case_and_text(
    code: str,
    status: int,
    of_write: type[OutcomeError],
    of_read: type[OutcomeError],
    write: bool,
    spelling: Callable[[str], str],
) -> None:
    with BitrixSandbox() as portal:
        portal.inject(faults.error(spelling(code), "какой-то текст<br>", status=status), "tasks.task.add")
        with pytest.raises(OutcomeError) as caught:
            client_for(portal).call("tasks.task.add", ADD, write=write)
        assert type(caught.value) is (of_write if write else of_read)
        assert "какой-то текст" in caught.value.reason
        assert "<br>" not in caught.value.reason
        assert portal.tasks == []


def test_the_error_table_has_no_code_that_the_tests_forget() -> None:
    tested = {code.lower() for code, *_ in ERROR_TABLE}
    assert set(RULES) - tested == {
        "query_limit_exceeded",  # waited for: see below
        "invalid_token",
        "allowed_only_intranet_user",
        "invalid_arg_value",
    }


def test_a_configuration_outcome_says_what_to_do() -> None:
    error = outcome_of("insufficient_scope", "The request requires higher privileges", method="profile", write=False)
    assert "scopes task, user" in error.reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Не указан исполнитель<br>", "Не указан исполнитель"),
        ("a &lt;b&gt; &amp; c<br />d", "a <b> & c d"),
        (None, ""),
        (["odd"], "['odd']"),
        ("x" * 5000, "x" * 1000),
    ],
)
def test_the_portals_text_is_made_readable(text: object, shown: str) -> None:
    assert readable(text) == shown


@pytest.mark.parametrize("status", [500, 502, 504, 200])
def test_an_answer_that_is_no_json_leaves_a_write_in_doubt_and_a_read_in_an_outage(status: int) -> None:
    with BitrixSandbox() as portal:
        client = client_for(portal)
        portal.inject(faults.html(status, after_execution=True), "tasks.task.add")
        with pytest.raises(AmbiguousError) as write:
            client.call("tasks.task.add", ADD, write=True)
        assert not isinstance(write.value, UnclearAnswerError), "a proxy may answer while the portal is still at work"
        portal.inject(faults.html(status), "tasks.task.list")
        with pytest.raises(OutageError):
            client.call("tasks.task.list")


def test_an_unconfigured_portal_is_told_apart_from_a_broken_one() -> None:
    with BitrixSandbox() as portal:
        settings = settings_for(portal, webhook_url=None)
        with pytest.raises(NotConfiguredError):
            BitrixClient(settings, threading.Event())


def test_a_revoked_webhook_is_a_matter_of_configuration_until_it_is_restored() -> None:
    with BitrixSandbox() as portal:
        client = client_for(portal)
        portal.revoke_webhook()
        with pytest.raises(ConfigurationError, match="BITRIX_WEBHOOK_URL"):
            client.call("profile")
        portal.restore_webhook()
        assert client.call("profile").result["ADMIN"] is True


def test_no_error_text_shows_the_webhook_even_if_the_portal_quotes_it() -> None:
    with BitrixSandbox(secret="TopSecretCode") as portal:
        client = client_for(portal)
        portal.inject(faults.error("ERROR_CORE", "at /rest/1/TopSecretCode/tasks.task.add"), "tasks.task.add")
        with pytest.raises(PermanentError) as quoted:
            client.call("tasks.task.add", ADD, write=True)
        portal.go_down()
        with pytest.raises(OutageError) as refused:
            client.call("profile")
        for error in (quoted.value, refused.value):
            assert "TopSecretCode" not in "".join(traceback.format_exception(error))


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_refusal_for_the_rate_is_waited_out_and_the_call_executed_once() -> None:
    with BitrixSandbox() as portal:
        client = client_for(portal)
        portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "tasks.task.add", count=3)
        before = client.limiter.rate
        client.call("tasks.task.add", ADD, write=True)
        assert len(portal.tasks) == 1
        assert client.limiter.rate < before
        assert client.stats()["refused_by_limit"] == 3


def test_a_bucket_that_others_keep_full_becomes_an_outage() -> None:
    with BitrixSandbox() as portal:
        client = BitrixClient(settings_for(portal), threading.Event(), first_pause=0.01, patience=0.2)
        portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "tasks.task.add", count=None)
        with pytest.raises(OutageError) as caught:
            client.call("tasks.task.add", ADD, write=True)
        assert caught.value.retry_after == 60
        assert portal.tasks == []


def test_a_stop_ends_the_wait_for_the_bucket_at_once() -> None:
    with BitrixSandbox() as portal:
        stop = threading.Event()
        client = BitrixClient(settings_for(portal), stop, first_pause=3600, patience=10_000)
        refusal = portal.inject(faults.error("QUERY_LIMIT_EXCEEDED"), "profile", count=None)
        raised: list[BaseException] = []

        def call() -> None:
            try:
                client.call("profile")
            except StoppingError as error:
                raised.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        assert refusal.wait(10)
        stop.set()
        caller.join(10)
        assert [type(error) for error in raised] == [StoppingError]


def test_threads_together_stay_below_the_portals_limit() -> None:
    with BitrixSandbox(rate=RateLimit(capacity=12, drain=50)) as portal:
        client = client_for(portal, rate_limit_per_second=45, rate_limit_burst=10)
        threads = [threading.Thread(target=lambda: [client.call("server.time") for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert portal.requests.methods["server.time"] == 40
        assert portal.requests.limited == 0


@pytest.mark.parametrize("code", ["OPERATION_TIME_LIMIT", "INTERNAL_SERVER_ERROR"])
def test_a_refusal_that_says_when_to_come_again_is_believed(code: str) -> None:
    with BitrixSandbox() as portal:
        client = client_for(portal)
        portal.inject(faults.error(code, retry_after=7), "batch")
        [outcome] = client.batch([Command("profile", {})]).outcomes
        assert isinstance(outcome, OutcomeError)
        assert outcome.retry_after == pytest.approx(7, abs=0.1)


def test_a_method_without_running_time_left_is_not_called_until_its_reset() -> None:
    with BitrixSandbox() as portal:
        client = client_for(portal)
        portal.inject(faults.error("OPERATION_TIME_LIMIT"), "tasks.task.add")
        with pytest.raises(OutageError) as refused:
            client.call("tasks.task.add", ADD, write=True)
        assert refused.value.retry_after is not None
        assert refused.value.retry_after > 0
        before = portal.requests.http
        with pytest.raises(OutageError) as closed:
            client.call("tasks.task.add", ADD, write=True)
        assert closed.value.retry_after is not None
        assert portal.requests.http == before, "asked although the gate is closed"
        assert client.call("profile").result["ADMIN"] is True


# -- batch ------------------------------------------------------------------------------------------------------------


def test_a_batch_gives_each_command_its_own_outcome_in_order() -> None:
    with BitrixSandbox() as portal:
        first, refused, last = (
            client_for(portal)
            .batch(
                [
                    Command("tasks.task.add", ADD, write=True),
                    Command("tasks.task.add", {"fields": {"TITLE": "Без исполнителя"}}, write=True),
                    Command("profile", {}),
                ]
            )
            .outcomes
        )
        assert isinstance(first, Answer)
        assert first.result["task"]["title"] == "Договор"
        assert type(refused) is PermanentError
        assert isinstance(last, Answer)
        assert (portal.requests.http, len(portal.tasks)) == (1, 1)


def test_more_commands_than_a_batch_holds_travel_in_several() -> None:
    with BitrixSandbox() as portal:
        outcomes = client_for(portal).batch([Command("profile", {}) for _ in range(120)]).outcomes
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert portal.requests.http == 3


def test_a_batch_without_an_answer_leaves_its_writes_in_doubt_but_not_its_reads() -> None:
    with BitrixSandbox() as portal:
        portal.inject(faults.reset(after_execution=True), "tasks.task.add")
        write, read = (
            client_for(portal).batch([Command("tasks.task.add", ADD, write=True), Command("profile", {})]).outcomes
        )
        assert isinstance(write, AmbiguousError)
        assert isinstance(read, OutageError)
        assert len(portal.tasks) == 1


def test_a_command_missing_from_the_answer_is_in_doubt_if_it_writes() -> None:
    with BitrixSandbox() as portal:
        empty = b'{"result":{"result":[],"result_error":[],"result_total":[],"result_next":[],"result_time":[]}}'
        portal.inject(faults.answer(RawAnswer(200, empty)), "batch")
        write, read = (
            client_for(portal).batch([Command("tasks.task.add", ADD, write=True), Command("profile", {})]).outcomes
        )
        assert type(write) is AmbiguousError
        assert type(read) is TransientError


scalars = st.one_of(st.text(), st.integers(), st.booleans(), st.none())
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4), st.dictionaries(names, inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


def as_php_reads(value: object) -> object:
    if isinstance(value, dict):
        return {key: as_php_reads(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_php_reads(inner) for inner in value]
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


@given(st.dictionaries(names, trees, max_size=4))
def test_every_structure_survives_the_way_through_a_query_string(params: dict[str, object]) -> None:
    method, _, query = Command("tasks.task.add", params).encoded.partition("?")
    assert method == "tasks.task.add"
    assert php.parse_query(query) == as_php_reads(params)


def test_a_false_never_becomes_a_true_word() -> None:
    assert dict(flatten({"a": False, "b": None, "c": [True], "d": []})) == {"a": "0", "b": "", "c[0]": "1", "d": ""}


@pytest.mark.parametrize("text", ["$result[a][b]", "x$RESULT[a]", "$next[a]", "$Total[a]", "$time[x]", "$error[x]"])
def test_a_text_that_looks_like_a_reference_travels_alone(text: str) -> None:
    assert not Command("tasks.task.add", {"fields": {"TAGS": ["ok", text]}}).fits_batch
    assert not Command("tasks.task.list", {"filter": {text: 1}}).fits_batch
    assert Command("tasks.task.add", {"fields": {"TITLE": "100 $ за результат"}}).fits_batch
