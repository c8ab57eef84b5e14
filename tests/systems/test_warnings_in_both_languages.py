"""What a result tells of a task that has gone well, it tells in English and in Russian, with the same names in both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from base_handler import BaseMessageHandler
from consumers.onec.differences import differences
from consumers.onec.tables import Body
from consumers.openproject import kept
from core.errors import PermanentError
from core.messages import IncomingMessage
from core.results import Accepted, Done, with_warnings
from core.texts import Text
from sandbox.bitrix24 import BitrixSandbox, CrmField
from sandbox.bitrix24 import faults as bitrix_faults
from sandbox.email import EmailSandbox
from sandbox.http_front import RawAnswer
from sandbox.onec import OneCSandbox
from sandbox.openproject import OpenProjectSandbox
from sandbox.python_services import ServicesSandbox
from sandbox.python_services import faults as services_faults
from sandbox.telegram import PERSON, TelegramSandbox
from sandbox.telegram import faults as telegram_faults
from tests.cli.test_reasons_in_both_languages import assert_the_readers_own
from tests.support.answering_server import AnsweringServer, http_answer
from tests.systems.bitrix import support as bitrix_support
from tests.systems.default.test_handler import handler as default_handler
from tests.systems.default.test_handler import message as default_message
from tests.systems.email import support as email_support
from tests.systems.onec import support as onec_support
from tests.systems.openproject import support as openproject_support
from tests.systems.python_services import support as services_support
from tests.systems.telegram import support as telegram_support
from toolkit.send_journal import SendJournal

EMPTY_DATE = "1970-01-01T03:00:00.000+0300"


def response_of(handler: BaseMessageHandler, message: IncomingMessage) -> Mapping[str, Any]:
    [outcome] = bitrix_support.outcomes(handler, [message])
    assert isinstance(outcome, Accepted | Done), outcome
    return outcome.response


def assert_told_in_both(response: Mapping[str, Any], names: Sequence[str], said: Sequence[str] = ()) -> None:
    """A warning for each of `names` at least; `said` are words that are not ours."""
    english, russian = response["warnings"], response["warnings_ru"]
    for name in names:
        assert [name in each for each in english] == [name in each for each in russian], name
        assert name in "".join(english)
    assert_the_readers_own({"en": "\n".join(english), "ru": "\n".join(russian)}, said)


def told(texts: Sequence[Text]) -> Mapping[str, Any]:
    return with_warnings({}, texts)


def test_without_any_there_is_neither() -> None:
    assert with_warnings({"success": True}, []) == {"success": True}


def test_both_are_lists_of_the_same_order() -> None:
    texts = [Text("cut", "обрезано"), Text.of("said by another")]
    assert with_warnings({}, texts) == {
        "warnings": ["cut", "said by another"],
        "warnings_ru": ["обрезано", "said by another"],
    }


# -- Bitrix24 ----------------------------------------------------------------------------------------------------------


def test_of_a_task_of_bitrix24() -> None:
    variables = {
        "title": "x" * 300,
        "description": "y" * 70,
        "deadline": EMPTY_DATE,
        "UF_CRM_CONTRACT": "17/2",
        "ufCamundaIdExternalTask": "another",
        "ufResultAnswer": "yes",
        "checklists": [{"name": "Steps", "items": ["z" * 300], "due": "tomorrow"}, {"name": "empty", "items": []}],
    }
    step = {"phone": "+7", "UF_RESULT_EXPECTED": "maybe", "UF_ELEMENT_ID": "another"}
    with BitrixSandbox() as portal:
        handler = bitrix_support.handler_for(portal, max_description_length=50)
        response = response_of(handler, bitrix_support.message(variables=variables, extensions=step))
    assert len(response["warnings"]) == 12
    assert_told_in_both(response, [*(variables.keys() - {"title", "description"}), *step, "due", " 300", " 70", "255"])


def test_of_a_checklist_that_bitrix24_has_refused() -> None:
    with BitrixSandbox() as portal:
        portal.inject(bitrix_faults.error("ERROR_CORE", "Access denied"), "task.checklistitem.add")
        checklists = [{"name": "Steps", "items": ["one"]}]
        sent = bitrix_support.message(variables={"checklists": checklists})
        response = response_of(bitrix_support.handler_for(portal), sent)
    assert_told_in_both(response, ["Access denied"], said=["Access denied"])


def test_of_an_item_of_bitrix24() -> None:
    with BitrixSandbox(crm_fields={2: [CrmField("UF_CRM_FREE", "string")]}) as portal:
        handler = bitrix_support.handler_for(portal)
        handler.handle(bitrix_support.message("bitrix_create_deal"))
        portal.state.crm_fields[2] = [CrmField("UF_CRM_FREE", "datetime")]  # made anew since it was read
        step = {"originId": "another", "UF_CRM_FREE": "later"}
        variables = {"phone": "+7", "UF_CRM_NO_SUCH": "x", "opportunity": EMPTY_DATE}
        sent = bitrix_support.message("bitrix_create_deal", extensions=step, variables=variables)
        assert_told_in_both(response_of(handler, sent), [*step, *variables])


def test_of_what_bitrix24_does_not_show_of_an_item() -> None:
    for answer, names in ((b'{"result": []}', ()), (b'{"result": {"item": {"id": 1}}}', ("+7 900",))):
        with BitrixSandbox() as portal:
            portal.inject(bitrix_faults.answer(RawAnswer(200, answer)), "crm.item.add")
            sent = bitrix_support.message("bitrix_create_contact", variables={"phone": "+7 900"})
            assert_told_in_both(response_of(bitrix_support.handler_for(portal), sent), names)


def test_of_an_update_of_bitrix24_for_which_nothing_else_is_left() -> None:
    with BitrixSandbox() as portal:
        handler = bitrix_support.handler_for(portal)
        for topic in ("bitrix_update_task", "bitrix_update_deal"):
            sent = bitrix_support.message(topic, variables={"UF_CRM_NO_SUCH": "x", "UF_ANOTHER": "y"}, name=None)
            [error] = bitrix_support.outcomes(handler, [sent])
            assert isinstance(error, PermanentError)
            words = ["UF_CRM_NO_SUCH", "UF_ANOTHER"]
            assert_the_readers_own({"en": error.text.en, "ru": error.text.ru}, words=words)


# -- OpenProject -------------------------------------------------------------------------------------------------------


def test_of_openproject() -> None:
    with OpenProjectSandbox() as server:
        handler = openproject_support.handler_for(server)
        milestone: dict[str, Any] = {
            "title": "x" * 300,
            "start_date": "2026-11-25",
            "due_date": "2026-11-28",
            "comment": "hello",
            "priority": EMPTY_DATE,
            "cf_camunda id": "another",
        }
        response = response_of(handler, openproject_support.message("op_create_milestone", **milestone))
        names = ["subject", "255", "start_date", "comment", "priority", "cf_camunda id", "date: "]
        assert_told_in_both(response, names)
        server.change(1, project=2)
        update = openproject_support.message("op_update_task", work_package_id=1, project="contracts", title="x")
        assert_told_in_both(response_of(handler, update), ["project: "])
        project = openproject_support.message("op_create_project", name="x" * 300, cf_Rest="1", status="New")
        assert_told_in_both(response_of(handler, project), ["name: ", "255", "cf_Rest", "status"])


def test_of_what_openproject_has_kept() -> None:
    address = {"href": "/api/v3/versions/1"}
    for sent, answer in ((address, {"href": None}), ({"href": None}, address)):
        texts = kept.differences({"_links": {"version": sent}}, {"_links": {"version": answer}})
        assert_told_in_both(told(texts), ["version: ", "/api/v3/versions/1"])


# -- 1C ----------------------------------------------------------------------------------------------------------------


def test_of_1c() -> None:
    with OneCSandbox(keeps_keys=False, tells_lengths=False) as base:
        handler = onec_support.handler_for(base)
        sent = onec_support.message("1c_create_counterparty", name="x" * 120, inn="1" * 20)
        response = response_of(handler, sent)
        assert_told_in_both(response, ["Description", "ИНН", "1" * 12], said=["ИНН"])
        assert len(response["warnings"]) == 3, "and the key"
        assert_told_in_both(response_of(handler, onec_support.message(deadline=EMPTY_DATE)), ["deadline"], said=["ИНН"])


def test_of_what_1c_has_kept() -> None:
    rows = [{"Name": 1}, {"Name": 2}]
    sent = {"Rows": rows, "Others": rows, **{f"A{number}": 1 for number in range(30)}}
    texts = [*Body({"Rows": rows}, {}).lost({"Rows": rows}), *differences(sent, {"Rows": rows[:1], "Others": [{}, 5]})]
    assert_told_in_both(told(texts), ["Rows: ", "Others[1].Name: ", "Others[2]: ", "A1: "])
    assert all("1С" in each for each in told(texts)["warnings_ru"][1:-1]), "in Cyrillic letters"


# -- answers in JSON ---------------------------------------------------------------------------------------------------


def test_of_a_service(tmp_path: Path) -> None:
    body = b'{"status": "succeeded", "result": {"text": "two\nlines", "half": "\\ud83d", "name": 1, "name": 2}}'
    with ServicesSandbox() as outside:
        outside.inject(services_faults.answer(RawAnswer(200, body), after_execution=True), "post *")
        with services_support.handler_for(tmp_path, {"echo": services_support.http(outside)}) as handler:
            response = response_of(handler, services_support.message())
    assert len(response["warnings"]) == 3
    assert_told_in_both(response, ["JSON", "'name'", "\N{REPLACEMENT CHARACTER}"])


def test_of_the_webhook_of_the_default_queue() -> None:
    text = '"{\\"done\\": true}"'
    for body, names in ((b"null", ["null"]), (text.encode(), ["JSON"]), (text.encode("utf-16"), ["JSON", "utf-16"])):
        with AnsweringServer() as server:
            server.answer = http_answer(200, body)
            handler = default_handler(webhook_url=SecretStr(server.address))
            assert_told_in_both(response_of(handler, default_message("no_such_topic", "default")), names)


# -- mail and Telegram -------------------------------------------------------------------------------------------------


def test_of_a_mail(tmp_path: Path) -> None:
    attachments = [{"name": "C:\\temp\\report.txt", "content": "eA=="}]
    with EmailSandbox() as server:
        sent = email_support.message(email_priority="high", attachments=attachments)
        response = response_of(email_support.handler_for(server, tmp_path), sent)
    assert_told_in_both(response, ["email_priority", "attachments", "C:\\temp\\report.txt"])


def test_of_telegram(tmp_path: Path) -> None:
    link, links = "http://portal/4", "".join(f'<a href="http://portal/{number}">x</a>' for number in range(9))
    step = {"parse_mode": "HTML"}
    with TelegramSandbox() as server:
        with telegram_support.handler_for(server, tmp_path, overflow="truncate") as handler:
            sent = telegram_support.message(text_html=links, text="unused")
            response = response_of(handler, sent)
            assert_told_in_both(response, ["text_html", link])
            sent = telegram_support.message(text="a\u202ez" * 2000, extensions=step)
            names = ["TELEGRAM_OVERFLOW=truncate", "parse_mode", "U+202E"]
            assert_told_in_both(response_of(handler, sent), names)
            server.inject(telegram_faults.refusal(400, "Bad Request: can't parse entities: odd"), "sendMessage")
            response = response_of(handler, telegram_support.message(text_html="<b>x</b>"))
            assert_told_in_both(response, ["odd"], said=["Bad Request: can't parse entities: odd"])
            server.inject(telegram_faults.answer(RawAnswer(200, b'{"ok": true, "result": {}}')), "sendMessage")
            assert_told_in_both(response_of(handler, telegram_support.message(text="x")), ["id"])
        with telegram_support.handler_for(server, tmp_path, parse_mode="none") as handler:
            assert_told_in_both(response_of(handler, telegram_support.message(text_html=links)), [link])


def test_of_telegram_when_the_task_comes_again(tmp_path: Path) -> None:
    with TelegramSandbox() as server, telegram_support.handler_for(server, tmp_path) as handler:
        sent = telegram_support.message(text_html='<a href="http://portal/5">x</a>')
        first = response_of(handler, sent)
        assert_told_in_both(first, ["http://portal/5"])
        assert response_of(handler, sent) == first
        assert len(server.messages) == 1


def test_a_version_that_told_in_english_only_reads_the_journal(tmp_path: Path) -> None:
    """Going back to it must not end in an error: it takes what json.loads gives for a sequence of sentences."""
    with TelegramSandbox() as server, telegram_support.handler_for(server, tmp_path) as handler:
        sent = telegram_support.message(key="task-1", text_html='<a href="http://portal/5">x</a>')
        response = response_of(handler, sent)
    journal = SendJournal(tmp_path, "telegram")
    [part] = journal.parts("task-1").values()
    journal.close()
    assert list(json.loads(part.detail.split(" ", 2)[2])) == response["warnings"]


def test_the_journal_of_a_version_that_told_in_english_only_is_read(tmp_path: Path) -> None:
    journal = SendJournal(tmp_path, "telegram")
    journal.begin("task-1", f"{PERSON}/1")
    journal.sent("task-1", f"{PERSON}/1", f'{PERSON} 7 ["sent without", "something"]')
    journal.leave("task-1", f"{PERSON}/1")
    journal.close()
    with TelegramSandbox() as server, telegram_support.handler_for(server, tmp_path) as handler:
        response = response_of(handler, telegram_support.message(key="task-1", text="x"))
        assert response["telegram_message_id"] == "7"
        assert response["warnings"] == response["warnings_ru"] == ["sent without", "something"]
        assert not server.messages
