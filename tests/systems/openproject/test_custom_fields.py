"""Custom fields of every kind, in every topic: what people see is what a process may say, and nothing is dropped.

Which kinds there are: config/initializers/custom_field_format.rb of opf/openproject (17.6); how they are written and
where their choices are told: lib/api/v3/utilities/custom_field_injector.rb, lib/api/decorators/schema_representer.rb.
"""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import OutcomeError, PermanentError
from core.results import Accepted, Done
from sandbox.openproject import CUSTOM_FIELDS, CustomField, Instance, OpenProjectSandbox, WorkPackage
from sandbox.openproject.objects import Named
from tests.systems.bitrix.support import outcomes
from tests.systems.openproject.support import handler_for, message


def written(server: OpenProjectSandbox, **fields: Any) -> WorkPackage:
    [outcome] = outcomes(handler_for(server), [message(extensions=fields)])
    assert isinstance(outcome, Accepted), outcome
    return server.state.work_packages[int(outcome.external_id or 0)]


def refusal(server: OpenProjectSandbox, **fields: Any) -> PermanentError:
    [outcome] = outcomes(handler_for(server), [message(extensions=fields)])
    assert isinstance(outcome, PermanentError), outcome
    assert server.work_packages == []
    return outcome


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("cf_Решение", "Да", [31]),
        ("cf_решение", "нет", [32]),
        ("customField9", "32", [32]),
        ("customField9", 31, [31]),
        ("cf_Метки", "срочно, юристы", [41, 42]),
        ("cf_Метки", '["юристы", 41, "юристы"]', [42, 41]),
        ("cf_Метки", ["срочно"], [41]),
        ("cf_Метки", "Москва, центр", [43]),  # one title with a comma in it
        ("cf_Регион", "Тверь", [73]),
        ("cf_Регион", "Тверь (TVR)", [73]),  # as people see it
        ("cf_Регион", "TVR", [73]),
        ("cf_Регион", "Казахстан / Астана / Центр", [77]),
        ("cf_Регион", ["Россия / Москва", "74"], [72, 74]),
        ("cf_Риск", "высокий", [82]),
        ("cf_Риск", "низкий (1.0)", [81]),
        ("cf_Куратор", "Анна Соколова", [4]),
        ("cf_Куратор", "lebedev@example.com", [5]),
        ("cf_Куратор", "Юристы", [6]),  # a group
        ("cf_Наблюдатели", "sokolova, Борис Лебедев", [4, 5]),
        ("cf_Сборка", "Релиз осени", [2]),
        ("cf_Ссылка", "https://example.com/a?b=1", "https://example.com/a?b=1"),
        ("cf_Количество", "42", 42),
        ("cf_Сумма", "12.5", 12.5),
        ("cf_Оплачено", "да", True),
        ("cf_Дата акта", "2026-11-20", "2026-11-20"),
        ("cf_Примечание", "**жирно**", "**жирно**"),
    ],
)
def test_a_field_takes_the_value_that_people_see(name: str, value: Any, kept: Any) -> None:
    with OpenProjectSandbox() as server:
        made = written(server, **{name: value})
        assert [each for key, each in made.custom.items() if key != "customField7"] == [kept]


@pytest.mark.parametrize("topic", ["op_create_task", "op_create_milestone", "op_update_task"])
def test_every_topic_writes_choices(topic: str) -> None:
    fields = {"cf_Решение": "Да", "cf_Метки": "срочно", "cf_Регион": "Астана", "cf_Куратор": "sokolova"}
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(key="first")])
        given: dict[str, Any] = {"work_package_id": 1} if topic == "op_update_task" else {}
        [outcome] = outcomes(handler, [message(topic, extensions=fields, **given)])
        assert isinstance(outcome, Accepted | Done), outcome
        assert "warnings" not in outcome.response
        made = server.state.work_packages[int(outcome.external_id or 0)]
        chosen = [made.custom[f"customField{number}"] for number in (9, 11, 12, 15)]
        assert chosen == [[31], [41], [75], [4]]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("cf_Решение", "может быть", "Да (31), Нет (32)"),
        ("cf_Метки", "срочно, потом", "'потом'"),
        ("cf_Регион", "Центр", "Россия / Москва / Центр (76), Казахстан / Астана / Центр (77)"),
        ("cf_Регион", "Луна", "Россия / Москва (72)"),
        ("cf_Куратор", "никто", "Анна Соколова (4)"),
        ("cf_Сборка", "0.9", "1.0 (1)"),  # a closed version may not be chosen
        ("cf_Решение", ["Да"], "Да (31)"),  # a list for a field with one value
        ("cf_Количество", "много", "cf_Количество"),
        ("cf_Оплачено", "может быть", "yes or no"),
    ],
)
def test_a_choice_that_is_not_clear_is_refused_with_what_there_is(name: str, value: Any, told: str) -> None:
    with OpenProjectSandbox() as server:
        assert told in refusal(server, **{name: value}).reason


@pytest.mark.parametrize("name", ["cf_Неизвестное", "customField99", "CF_", "CustomField99"])
@pytest.mark.parametrize("topic", ["op_create_task", "op_create_milestone", "op_update_task", "op_create_project"])
def test_a_name_that_means_no_field_is_refused_by_every_topic(topic: str, name: str) -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(key="first")])
        [outcome] = outcomes(handler, [message(topic, work_package_id=1, extensions={name: "1"})])
        assert isinstance(outcome, PermanentError), outcome
        assert (outcome.code, outcome.reason.startswith(f"{name}: ")) == ("unknown_field", True)
        assert (len(server.work_packages), len(server.state.projects)) == (1, 3)


def test_a_blank_variable_does_not_hide_the_extension_property() -> None:
    with OpenProjectSandbox() as server:
        blank: dict[str, Any] = {"cf_Решение": " ", "customField10": None}
        [outcome] = outcomes(handler_for(server), [message(extensions={"customField9": "Да", "cf_Сумма": 3}, **blank)])
        assert isinstance(outcome, Accepted), outcome
        [made] = server.work_packages
        assert (made.custom["customField9"], made.custom["customField10"]) == ([31], 3.0)


def test_a_variable_wins_over_the_same_field_by_another_name() -> None:
    with OpenProjectSandbox() as server:
        outcomes(handler_for(server), [message(customField9="Нет", extensions={"cf_Решение": "Да"})])
        assert server.work_packages[0].custom["customField9"] == [32]


def test_one_field_with_two_values_in_one_place_is_refused() -> None:
    with OpenProjectSandbox() as server:
        error = refusal(server, customField9="Нет", cf_Решение="Да")
        assert "customField9 and cf_Решение" in error.reason


def test_two_fields_of_one_name_are_told_apart_by_their_numbers() -> None:
    fields = [*CUSTOM_FIELDS, CustomField(40, "Сумма")]
    with OpenProjectSandbox(custom_fields=fields) as server:
        assert "customField10, customField40" in refusal(server, cf_Сумма="1").reason
        assert written(server, customField40="один").custom["customField40"] == "один"


def test_an_address_that_the_server_completes_is_told() -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message(extensions={"cf_Ссылка": "example.com"})])
        assert isinstance(outcome, Accepted)
        told = "customField14: OpenProject has 'http://example.com', not 'example.com'"
        assert outcome.response["warnings"] == [told]


def test_the_key_cannot_be_set_and_that_is_told() -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message(key="k", extensions={"cf_camunda id": "x"})])
        assert isinstance(outcome, Accepted)
        [told] = outcome.response["warnings"]
        assert "cf_camunda id" in told
        assert list(server.by_key()) == ["k"]


# -- who may ask -----------------------------------------------------------------------------------------------------


def test_whoever_may_only_edit_can_set_a_choice() -> None:
    """A form for a new one would be refused: `WorkPackages::CreateContract` wants the right to add."""
    with OpenProjectSandbox() as server:
        outcomes(handler_for(server), [message()])
    editor = Instance(rights=frozenset({"view", "edit"}))
    with OpenProjectSandbox(instance=editor) as limited:
        limited.state.work_packages.update(server.state.work_packages)
        update = message("op_update_task", work_package_id=1, extensions={"cf_Решение": "Да"})
        [outcome] = outcomes(handler_for(limited), [update])
        assert isinstance(outcome, Done), outcome
        assert limited.work_packages[0].custom["customField9"] == [31]


def test_choices_are_asked_for_once_and_only_when_a_message_names_one() -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(extensions={"cf_Сумма": 1}) for _ in range(20)])
        assert not [each for each in server.log if each.path.endswith("/form")]
        outcomes(handler, [message(extensions={"cf_Решение": "Да", "cf_Регион": "Тверь"}) for _ in range(20)])
        assert len([each for each in server.log if each.path.endswith("/form")]) == 1
        assert len([each for each in server.log if each.path.endswith("/items")]) == 1
        outcomes(handler, [message("op_update_task", work_package_id=n, cf_Решение="Нет") for n in range(1, 20)])
        assert len([each for each in server.log if each.path.endswith("/form")]) == 2


def test_an_option_that_is_new_is_found_although_the_form_was_read_before() -> None:
    with OpenProjectSandbox() as server:
        handler = handler_for(server)
        outcomes(handler, [message(cf_Решение="Да")])
        with server.state.lock:
            old = server.state.custom_fields["customField9"]
            server.state.custom_fields["customField9"] = CustomField(
                9, old.name, old.kind, (*old.options, Named(33, "Отложено"))
            )
        now = handler._remembered.clock()
        handler._remembered.clock = lambda: now + 61
        [outcome] = outcomes(handler, [message(cf_Решение="отложено")])
        assert isinstance(outcome, Accepted), outcome


def test_a_login_is_understood_where_logins_are_not_shown() -> None:
    """users/user_representer.rb shows them to those who manage users; an address takes them from everybody."""
    with OpenProjectSandbox(instance=Instance(admin=False)) as server:
        given = {"cf_Куратор": "sokolova", "cf_Наблюдатели": "lebedev, Анна Соколова"}
        [outcome] = outcomes(handler_for(server), [message(assignee="lebedev", extensions=given)])
        assert isinstance(outcome, Accepted), outcome
        [made] = server.work_packages
        assert (made.assignee, made.custom["customField15"], made.custom["customField16"]) == (5, [4], [5, 4])
        for unknown in ("sokolova@example.com", "me", "admin2"):
            [outcome] = outcomes(handler_for(server), [message(assignee=unknown)])
            assert isinstance(outcome, PermanentError), outcome
            assert unknown in outcome.reason


# -- projects --------------------------------------------------------------------------------------------------------


def test_a_project_has_custom_fields_of_its_own() -> None:
    fields = {"cf_Заказчик": "ООО «Ромашка»", "cf_Класс": "b", "cf_Бюджет": "1000000"}
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message("op_create_project", name="Проект", extensions=fields)])
        assert isinstance(outcome, Done), outcome
        made = server.state.projects[int(outcome.external_id or 0)]
        assert made.custom == {"customField30": "ООО «Ромашка»", "customField31": [52], "customField32": 1_000_000.0}


def test_a_variable_that_is_meant_for_work_packages_is_told_where_a_project_has_no_such_field() -> None:
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(
            handler_for(server), [message("op_create_project", name="x", cf_Решение="Да", cf_Класс="A")]
        )
        assert isinstance(outcome, Done), outcome
        assert outcome.response["warnings"] == ["cf_Решение: a project has no such custom field"]
        assert server.state.projects[4].custom == {"customField31": [51]}


def test_a_calculated_value_is_nobodys_to_write() -> None:
    """The server drops it without a word (app/services/projects/set_attributes_service.rb)."""
    with OpenProjectSandbox() as server:
        [outcome] = outcomes(handler_for(server), [message("op_create_project", name="x", extensions={"cf_Итого": 1})])
        assert isinstance(outcome, OutcomeError)
        assert (outcome.code, "cf_Итого" in outcome.reason) == ("read_only_field", True)
