"""From a Camunda task to Bitrix24 fields: every rule once, and nonsense always named."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bitrix import checklists, fields
from consumers.bitrix.checklists import Checklist
from consumers.bitrix.fields import FieldRules, Translated
from consumers.bitrix.userfields import UserField
from core import values
from core.errors import PermanentError
from core.messages import CamundaTask, IncomingMessage
from core.texts import Text
from tests.systems.bitrix.support import message

MOSCOW = ZoneInfo("Europe/Moscow")
KEY = "UF_CAMUNDA_ID_EXTERNAL_TASK"
USER_FIELDS = {
    field.name: field
    for field in (
        UserField(KEY, "string"),
        UserField("UF_ELEMENT_ID", "string"),
        UserField("UF_PROCESS_INSTANCE_ID", "string"),
        UserField("UF_RESULT_EXPECTED", "boolean"),
        UserField("UF_RESULT_QUESTION", "string"),
        UserField("UF_RESULT_ANSWER", "enumeration", choices={"26": "ДА", "27": "НЕТ"}),
        UserField("UF_SUM", "double"),
        UserField("UF_COUNT", "integer"),
        UserField("UF_WHEN", "datetime"),
        UserField("UF_DAY", "date"),
        UserField("UF_FLAG", "boolean"),
        UserField("UF_NOTES", "string", multiple=True),
        UserField("UF_COLOURS", "enumeration", multiple=True, choices={"1": "Красный", "2": "Синий"}),
        UserField("UF_CRM_TASK", "crm", multiple=True),
    )
}


def rules(**changes: Any) -> FieldRules:
    given: dict[str, Any] = {
        "key_field": KEY,
        "default_responsible_id": 1,
        "default_priority": 1,
        "max_description_length": 10_000,
        "zone": MOSCOW,
        "roles": {"accountant": 12, "3": 33},
        "user_fields": USER_FIELDS,
        **changes,
    }
    return FieldRules(**given)


def create(incoming: IncomingMessage | None = None, *, with_rules: FieldRules | None = None, **given: Any) -> Any:
    return made(incoming, with_rules=with_rules, **given).fields


def made(incoming: IncomingMessage | None = None, *, with_rules: FieldRules | None = None, **given: Any) -> Translated:
    return fields.for_creation((incoming or message(**given)).task, with_rules or rules())


# -- title, description ----------------------------------------------------------------------------------------------


def test_the_smallest_message_becomes_a_task_with_all_defaults() -> None:
    incoming = message(key="key-1")
    assert create(incoming) == {
        "TITLE": "Согласовать договор",
        "DESCRIPTION": "Согласовать договор",
        "RESPONSIBLE_ID": 1,
        "PRIORITY": 1,
        "UF_ELEMENT_ID": "Activity_1",
        "UF_PROCESS_INSTANCE_ID": "a8cb83b3-36b5-424a-9456-f6b5ec7367c2",
        KEY: "key-1",
    }


def test_the_specifications_sample_message_is_understood() -> None:
    task = CamundaTask(
        b"",
        {
            "task_id": "camunda-task-uuid",
            "topic": "bitrix_create_task",
            "variables": {
                "title": {"value": "Название задачи", "type": "String"},
                "priority": {"value": "3", "type": "String"},
                "responsible_id": {"value": "1", "type": "String"},
            },
            "metadata": {
                "extensionProperties": {"customProperty": "customValue"},
                "inputParameters": {"inputData": "processedValue"},
                "activityInfo": {"name": "Выполнить задачу в системе", "topic": "system_create_task"},
            },
        },
    )
    created = fields.for_creation(task, rules()).fields
    assert (created["TITLE"], created["PRIORITY"], created["RESPONSIBLE_ID"]) == ("Название задачи", 2, 1)


def test_without_metadata_the_title_tells_the_topic() -> None:
    task = CamundaTask(b"", {"task_id": "k", "topic": "bitrix_create_task", "metadata": {}, "variables": None})
    assert fields.for_creation(task, rules()).fields["TITLE"] == "Задача из Camunda процесса (bitrix_create_task)"


def test_fields_that_the_portal_does_not_have_are_not_stamped() -> None:
    bare = create(with_rules=rules(user_fields={}, key_field="XML_ID"), key="key-1")
    assert bare["XML_ID"] == "key-1"
    assert not [name for name in bare if name.startswith("UF_")]


def test_variables_win_over_metadata() -> None:
    created = create(
        variables={"description": "из процесса"},
        extensions={"description": "из схемы", "tags": "схема"},
        parameters={"tags": "параметр", "description": "x"},
    )
    assert (created["DESCRIPTION"], created["TAGS"]) == ("из процесса", ["схема"])


def test_the_additional_description_still_overrides_the_others() -> None:
    created = create(variables={"description": "общее", "description_additional": "подробно"})
    assert created["DESCRIPTION"] == "подробно"


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("короткий", 10, "короткий"),
        ("0123456789", 10, "0123456789"),
        ("0123456789x", 10, "012345678…"),
        ("abcde\u0301fgh", 6, "abcd…"),  # é written as e + accent is not torn apart
        ("ab👩‍👩‍👧‍👦cd", 5, "ab…"),  # a family is one picture of seven code points
        ("ab👍🏽cdef", 4, "ab…"),  # a thumb keeps its colour or goes
        ("🇷🇺🇩🇪🇫🇷", 4, "🇷🇺…"),  # flags are pairs of letters
        ("a\r\nbcd", 3, "a…"),
        ("e" + "\u0301" * 50, 10, "e" + "\u0301" * 8 + "…"),
    ],
)
def test_a_description_is_cut_between_characters_as_people_see_them(text: str, limit: int, kept: str) -> None:
    assert values.cut_characters(text, limit) == kept


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("/etc/a.yaml", 11, "/etc/a.yaml"),
        ("/etc/one/two/roles.yaml", 13, "/etc/o…s.yaml"),
        ("0123456789", 1, "…"),
        ("aaaaae\u0301bc", 6, "a…e\u0301bc"),
    ],
)
def test_a_text_that_is_cut_in_the_middle_keeps_both_ends(text: str, limit: int, kept: str) -> None:
    assert values.cut_middle(text, limit) == kept


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_cut_text_is_a_beginning_of_the_whole_and_fits(text: str, limit: int) -> None:
    kept = values.cut_characters(text, limit)
    assert len(kept) <= limit
    assert kept == text or text.startswith(kept.removesuffix("…"))
    if kept != text and len(kept) == limit and limit > 1:
        torn = text[len(kept) - 1]
        assert not unicodedata.category(torn).startswith("M") or all(
            unicodedata.category(each).startswith("M") for each in text[1 : len(kept) - 1]
        )


def test_what_json_cannot_carry_is_replaced_not_fatal() -> None:
    created = create(variables={"title": "a\ud800b\x00c"})
    assert created["TITLE"] == "a\N{REPLACEMENT CHARACTER}bc"


# -- people ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "extensions", "responsible"),
    [
        ({}, {}, 1),
        ({"responsible_id": 7}, {}, 7),
        ({"responsible_id": "7"}, {"assigneeId": "accountant"}, 7),
        ({"responsible_id": 7.0}, {}, 7),
        ({"responsible_id": "3"}, {}, 3),
        ({"responsible_id": "accountant"}, {}, 12),
        ({}, {"assigneeId": "accountant"}, 12),
        ({}, {"assigneeId": "3"}, 33),  # a role, although it looks like an id
        ({}, {"assigneeId": "99"}, 99),  # no role: an id
        ({"responsible_id": "  "}, {"assigneeId": ""}, 1),
    ],
)
def test_the_responsible_is_found_in_this_order(variables: Any, extensions: Any, responsible: int) -> None:
    assert create(variables=variables, extensions=extensions)["RESPONSIBLE_ID"] == responsible


@pytest.mark.parametrize("role", ["director", "-5", "0", "1.5", "٣"])
def test_an_unknown_role_is_named_and_never_replaced_by_the_default(role: str) -> None:
    with pytest.raises(PermanentError, match=role) as caught:
        create(extensions={"assigneeId": role})
    assert caught.value.code == "bad_value"


def test_accomplices_and_auditors_come_as_list_json_or_comma_text() -> None:
    created = create(variables={"accomplices": [2, "accountant"], "auditors": "4, 5"})
    assert (created["ACCOMPLICES"], created["AUDITORS"]) == ([2, 12], [4, 5])
    assert create(variables={"auditors": '["6", 7]'})["AUDITORS"] == [6, 7]
    with pytest.raises(PermanentError, match="nobody"):
        create(variables={"auditors": "4,nobody"})


@pytest.mark.parametrize("name", ["group_id", "project_id", "projectId", "groupId"])
def test_the_project_becomes_the_group(name: str) -> None:
    assert create(variables={name: "123"})["GROUP_ID"] == 123
    with pytest.raises(PermanentError, match=name):
        create(variables={name: "Проект"})


def test_creator_parent_and_tags() -> None:
    created = create(variables={"projectManagerId": 5, "parentTaskId": "17", "tags": '["срочно", "договор"]'})
    assert (created["CREATED_BY"], created["PARENT_ID"], created["TAGS"]) == (5, 17, ["срочно", "договор"])


@pytest.mark.parametrize(
    ("given", "priority"),
    [(0, 0), (1, 1), ("2", 2), ("3", 2), (50, 2), (-1, 0), ("high", 2), ("Низкий", 0), ("", 1), (None, 1)],
)
def test_priorities_of_every_scale_end_within_bitrix24s(given: Any, priority: int) -> None:
    assert create(variables={"priority": given})["PRIORITY"] == priority


def test_a_priority_that_means_nothing_is_named() -> None:
    with pytest.raises(PermanentError, match="P1"):
        create(variables={"priority": "P1"})


# -- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deadline", "due_date", "dueDate", "end_date", "finish_date"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-12-01T12:00:00.000+0300", "2026-12-01T12:00:00+03:00"),
        ("2026-12-01T12:00:00Z", "2026-12-01T12:00:00+00:00"),
        ("2026-12-01T12:00:00.123456789+05:30", "2026-12-01T12:00:00+05:30"),
        ("2026-12-01T12:00+03:00[Europe/Moscow]", "2026-12-01T12:00:00+03:00"),
        ("2026-12-01T12:00:00", "2026-12-01T12:00:00+03:00"),
        ("2026-12-01 18:30:00", "2026-12-01T18:30:00+03:00"),
        ("2026-12-01 18:30", "2026-12-01T18:30:00+03:00"),
        ("20261201T183000", "2026-12-01T18:30:00+03:00"),
        ("2026-12-01", "2026-12-01T23:59:59+03:00"),
        (" 2026-12-01 ", "2026-12-01T23:59:59+03:00"),
        ("20261201", "2026-12-01T23:59:59+03:00"),
        ("2026-W49-2", "2026-12-01T23:59:59+03:00"),
    ],
)
def test_a_deadline_in_any_iso_form_gets_an_explicit_offset(name: str, given: str, sent: str) -> None:
    assert create(variables={name: given})["DEADLINE"] == sent


@pytest.mark.parametrize(
    "given", ["завтра", "2026-13-01", "2026-12-01x10:00", "01.12.2026", 1796115600000, True, "0001-01-01", [1]]
)
def test_a_nonsensical_deadline_is_permanent_and_named(given: Any) -> None:
    with pytest.raises(PermanentError) as caught:
        create(variables={"deadline": given})
    assert "deadline" in caught.value.reason
    assert repr(given) in caught.value.reason


@given(
    st.datetimes(timezones=st.sampled_from([MOSCOW, UTC, ZoneInfo("Asia/Kolkata"), None])).filter(
        lambda moment: 1970 < moment.year < 9000
    ),
    st.sampled_from(["T", " "]),
)
def test_every_moment_keeps_its_instant(moment: datetime, separator: str) -> None:
    sent = datetime.fromisoformat(values.moment("deadline", moment.isoformat(separator), MOSCOW))
    # Without its fold: a written offset, or the lack of one, cannot tell the two readings of an ambiguous hour.
    expected = moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW, fold=0)
    assert sent.utcoffset() is not None
    assert sent.timestamp() == expected.replace(microsecond=0).timestamp()


@given(st.text() | st.from_regex(r"[0-9TWZ:+. -]{8,25}", fullmatch=True))
def test_any_text_is_a_moment_or_named(text: str) -> None:
    try:
        sent = values.moment("deadline", text, MOSCOW)
    except PermanentError as error:
        sent, reason = None, error.reason
    assert reason.startswith("deadline: ") if sent is None else datetime.fromisoformat(sent).tzinfo is not None


# -- user fields -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [("true", 1), ("1", 1), ("да", 1), ("YES", 1), (True, 1), ("N", 0), ("нет", 0), ("0", 0), (False, 0), ("х", 0)],
)
def test_an_expected_answer_is_one_or_zero_and_never_a_letter(given: Any, sent: int) -> None:
    assert create(extensions={"UF_RESULT_EXPECTED": given})["UF_RESULT_EXPECTED"] == sent


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("UF_RESULT_QUESTION", " Согласны? ", "Согласны?"),
        ("UF_RESULT_ANSWER", "26", "26"),
        ("UF_RESULT_ANSWER", "нет", "27"),
        ("UF_SUM", "1 000,5".replace(" ", ""), 1000.5),
        ("UF_COUNT", "7", 7),
        ("UF_COUNT", 7.0, 7),
        ("UF_WHEN", "2026-12-01 10:00:00", "2026-12-01T10:00:00+03:00"),
        ("UF_DAY", "2026-12-01", "2026-12-01"),
        ("UF_FLAG", "нет", 0),
        ("UF_NOTES", "раз, два", ["раз, два"]),
        ("UF_NOTES", '["раз", "два"]', ["раз", "два"]),
        ("UF_NOTES", ["раз", 2], ["раз", "2"]),
        ("UF_COLOURS", "красный, 2", ["1", "2"]),
        ("UF_CRM_TASK", "D_10,C_7", ["D_10", "C_7"]),
        ("uf_sum", "2", 2.0),
    ],
)
@pytest.mark.parametrize("section", ["extensions", "parameters"])
def test_user_fields_of_the_metadata_are_translated_by_their_type(
    section: str, name: str, given: Any, sent: Any
) -> None:
    incoming = message(**{section: {name: given}})  # type: ignore[arg-type]
    assert create(incoming)[name.upper()] == sent


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("UF_RESULT_ANSWER", "может быть"),
        ("UF_SUM", "много"),
        ("UF_SUM", "nan"),
        ("UF_COUNT", "7.5"),
        ("UF_WHEN", "скоро"),
        ("UF_FLAG", "maybe"),
        ("UF_COLOURS", "красный,зелёный"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_named(name: str, given: str) -> None:
    with pytest.raises(PermanentError) as caught:
        create(extensions={name: given})
    assert name in caught.value.reason
    assert given.rpartition(",")[2] in caught.value.reason


def test_a_misspelt_user_field_is_permanent_and_named() -> None:
    with pytest.raises(PermanentError, match="UF_RESULT_QUESTON"):
        create(extensions={"UF_RESULT_QUESTON": "?"})


@pytest.mark.parametrize("blank", ["", "  ", None, []])
def test_a_blank_user_field_is_left_alone(blank: Any) -> None:
    assert "UF_SUM" not in create(extensions={"UF_SUM": blank})


@pytest.mark.parametrize("source", ["extensions", "parameters", "variables"])
@pytest.mark.parametrize("name", [KEY, KEY.lower(), "ufCamundaIdExternalTask"])
def test_no_message_can_forge_the_key_and_it_is_told(source: str, name: str) -> None:
    given: dict[str, Any] = {source: {name: "another's"}}
    task = made(message(key="mine", **given))
    assert task.fields[KEY] == "mine"
    assert [each.en for each in task.warnings] == [f"{name} was not used: the field keeps the id of the Camunda task"]


@pytest.mark.parametrize("name", ["UF_SUM", "uf_sum", "ufSum", "Uf_Sum"])
@pytest.mark.parametrize("source", ["extensions", "parameters", "variables"])
def test_a_user_field_is_taken_in_every_spelling_and_from_every_place(source: str, name: str) -> None:
    """Variables were ignored for tasks and `ufSum` everywhere, without a word."""
    given: dict[str, Any] = {source: {name: "10.5"}}
    assert create(message(**given))["UF_SUM"] == 10.5


def test_variables_win_over_metadata_for_user_fields_too() -> None:
    given = message(variables={"ufSum": 1}, extensions={"UF_SUM": 2}, parameters={"uf_sum": 3})
    assert create(given)["UF_SUM"] == 1
    assert create(message(variables={"ufSum": " "}, extensions={"UF_SUM": 2}))["UF_SUM"] == 2, "blank is not given"


def test_an_unknown_user_field_of_the_process_is_told_and_stops_nothing() -> None:
    """A variable belongs to the whole process: it may be meant for another step's system."""
    task = made(message(variables={"UF_CRM_CONTRACT": "17/2", "ufResultAnswer_text": "ДА"}))
    assert task.missed
    assert [each.en for each in task.warnings] == [
        "UF_CRM_CONTRACT was not used: the portal has no such user field for tasks",
        "ufResultAnswer_text was not used: the portal has no such user field for tasks",
    ]


def test_an_answer_of_an_earlier_step_answers_no_new_question() -> None:
    task = made(message(variables={"ufResultAnswer": "ДА"}, extensions={"UF_RESULT_QUESTION": "Согласны?"}))
    assert "UF_RESULT_ANSWER" not in task.fields
    assert [each.en for each in task.warnings] == [
        "ufResultAnswer of an earlier step was not used: people answer in this field"
    ]
    assert create(message(extensions={"UF_RESULT_ANSWER": "ДА"}))["UF_RESULT_ANSWER"] == "26"


def test_what_is_cut_or_taken_for_no_is_told() -> None:
    task = made(
        message(variables={"title": "я" * 300, "description": "x" * 70}, extensions={"UF_RESULT_EXPECTED": "maybe"}),
        with_rules=rules(max_description_length=50),
    )
    assert (len(task.fields["TITLE"]), len(task.fields["DESCRIPTION"])) == (255, 50)
    assert task.fields["UF_RESULT_EXPECTED"] == 0
    assert sorted(each.en for each in task.warnings) == [
        "The description has 70 characters and was cut to 50",
        "The title has 300 characters and was cut to 255",
        "UF_RESULT_EXPECTED: 'maybe' is neither yes nor no and was taken for no",
    ]


def test_a_stamped_field_that_the_message_names_is_told() -> None:
    task = made(message(extensions={"UF_ELEMENT_ID": "another"}))
    assert task.fields["UF_ELEMENT_ID"] == "Activity_1"
    assert [each.en for each in task.warnings] == ["UF_ELEMENT_ID: 'another' was not used, it is Activity_1"]


def test_a_field_of_another_kind_of_topic_in_the_metadata_of_the_step_is_told() -> None:
    others = frozenset({"phone", "amount"})
    incoming = message(variables={"amount": 5}, extensions={"phone": "+7"})
    task = fields.for_creation(incoming.task, rules(), others)
    assert [each.en for each in task.warnings] == ["bitrix_create_task has no use for phone"]


def test_two_choices_of_one_text_need_their_id() -> None:
    twins = {**USER_FIELDS, "UF_X": UserField("UF_X", "enumeration", choices={"1": "Да", "2": "да", "3": "Нет"})}
    with pytest.raises(PermanentError, match=r"give its id \(1, 2\)"):
        create(message(extensions={"UF_X": "ДА"}), with_rules=rules(user_fields=twins))
    assert create(message(extensions={"UF_X": "2"}), with_rules=rules(user_fields=twins))["UF_X"] == "2"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["title", "description", "priority", "deadline", "projectId", "tags", "auditors", "responsible_id"]
        ),
        json_values,
    ),
    st.dictionaries(st.sampled_from(sorted(USER_FIELDS)), json_values),
)
def test_any_message_becomes_fields_or_a_permanent_error(variables: dict[str, Any], extensions: dict[str, Any]) -> None:
    with suppress(PermanentError):
        created = create(message(key="k", variables=variables, extensions=extensions))
        assert created[KEY] == "k"
        assert 1 <= len(created["TITLE"]) <= 255


# -- checklists ------------------------------------------------------------------------------------------------------


def test_checklists_come_as_json_text_or_as_a_list() -> None:
    expected = [Checklist("Шаги", ("первый", "2"))]
    text = '[{"name": "Шаги", "items": ["первый", 2, ""]}, {"name": "пустой", "items": []}, {"items": ["x"]}]'
    warnings: list[Text] = []
    assert checklists.parse(text, warnings) == expected
    assert [each.en.split("}")[0] for each in warnings] == [
        "checklists: {'name': 'пустой', 'items': []",
        "checklists: {'items': ['x']",
    ]
    assert checklists.parse([{"name": "Шаги", "items": ["первый", 2]}], []) == expected
    assert checklists.parse("", []) == checklists.parse(None, []) == checklists.parse("[]", []) == []


def test_what_a_checklist_cannot_hold_is_told_and_two_of_one_name_are_one() -> None:
    long = "я" * 300
    given = [{"name": "Шаги", "items": [long], "due": "завтра"}, {"name": "Шаги", "items": ["второй"]}]
    warnings: list[Text] = []
    [checklist] = checklists.parse(given, warnings)
    assert [len(item) for item in checklist.items] == [255, 6]
    assert ["due" in warnings[0].en, "cut to 255" in warnings[1].en] == [True, True]


@pytest.mark.parametrize("given", ["[{", '{"name": "x"}', "[1]", '[{"name": "x", "items": "y"}]', 5])
def test_misshapen_checklists_are_permanent_and_shown(given: Any) -> None:
    with pytest.raises(PermanentError, match="checklists"):
        checklists.parse(given, [])


# -- updates ---------------------------------------------------------------------------------------------------------


def test_an_update_changes_only_what_the_message_names() -> None:
    incoming = message("bitrix_update_task", variables={"title": "Новое имя", "deadline": "2026-12-01"})
    assert fields.for_update(incoming.task, rules()).fields == {
        "TITLE": "Новое имя",
        "DEADLINE": "2026-12-01T23:59:59+03:00",
    }


def test_an_update_that_names_nothing_is_permanent() -> None:
    with pytest.raises(PermanentError, match="names no field"):
        fields.for_update(message("bitrix_update_task").task, rules())
    with pytest.raises(PermanentError, match="UF_NO_SUCH was not used"):
        fields.for_update(message("bitrix_update_task", variables={"UF_NO_SUCH": 1}).task, rules())


@pytest.mark.parametrize("name", sorted(fields.TASK_NAMES - {"title"}))
def test_an_update_uses_every_name_that_a_creation_uses(name: str) -> None:
    """`checklists` of an update were ignored without a word."""
    dates = ("deadline", "due_date", "dueDate", "end_date", "finish_date")
    values = {**dict.fromkeys(dates, "2026-12-01"), "checklists": [{"name": "Шаги", "items": ["первый"]}]}
    for source in ("variables", "extensions", "parameters"):
        given: dict[str, Any] = {source: {name: values.get(name, "3")}}
        created = made(message(**given))
        updated = fields.for_update(message("bitrix_update_task", **given).task, rules())
        assert updated.warnings == created.warnings == []
        assert updated.checklists == created.checklists
        assert len(updated.fields) + len(updated.checklists) == 1
        assert updated.fields.items() <= created.fields.items()


@pytest.mark.parametrize(
    ("variables", "target"),
    [({"bitrix_task_id": "17"}, 17), ({"taskId": 17}, 17), ({"task_id": "b512fa46"}, "b512fa46"), ({}, "own-key")],
)
def test_an_update_finds_its_task_by_id_or_by_key(variables: dict[str, Any], target: int | str) -> None:
    assert fields.update_target(message("bitrix_update_task", key="own-key", variables=variables).task) == target
