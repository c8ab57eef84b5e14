"""OpenProject's sandbox gives nothing that the real one does not give, and takes nothing that it does not take.

Sources: opf/openproject, state of 2026-05-31 (17.6), files named at each test.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from sandbox.openproject import Instance, OpenProjectSandbox


def ask(server: OpenProjectSandbox, method: str, path: str, body: Any = None, **query: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.token}"}
    return requests.request(method, f"{server.url}{path}", json=body, params=query, headers=headers, timeout=10)


def post(server: OpenProjectSandbox, path: str, body: Any) -> Any:
    return ask(server, "POST", f"/api/v3/{path}", body).json()


def get(server: OpenProjectSandbox, path: str, **query: str) -> Any:
    return ask(server, "GET", f"/api/v3/{path}", **query).json()


def error_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorIdentifier"].rpartition(":")[2]


def filters(**conditions: Any) -> str:
    return json.dumps([{name: {"operator": op, "values": values}} for name, (op, values) in conditions.items()])


# -- schemas and forms -----------------------------------------------------------------------------------------------


def test_a_schema_by_itself_tells_no_choices() -> None:
    """work_packages/schema/work_package_schemas_api.rb makes it without `form_embedded`."""
    with OpenProjectSandbox() as server:
        schema = get(server, "work_packages/schemas/1-1")
        fields = {name: entry for name, entry in schema.items() if name.startswith("customField")}
        assert {entry["type"] for entry in fields.values()} >= {
            *("CustomOption", "[]CustomOption", "User", "[]User", "Version", "Link"),
            *("CustomField::Hierarchy::Item", "[]CustomField::Hierarchy::Item"),
        }
        assert not any("allowedValues" in json.dumps(entry) for entry in fields.values())
        assert {entry.get("location") for entry in fields.values()} == {None, "_links"}


@pytest.mark.parametrize(
    "path", ["work_packages/form", "projects/contracts/work_packages/form", "work_packages/1/form"]
)
def test_a_form_tells_them(path: str) -> None:
    """lib/api/v3/utilities/custom_field_injector.rb: beside the field, or the address of a list."""
    with OpenProjectSandbox() as server:
        post(server, "projects/1/work_packages", {"subject": "x"})
        links = {"project": {"href": "/api/v3/projects/1"}, "type": {"href": "/api/v3/types/1"}}
        body = {"_links": links} if path == "work_packages/form" else {"lockVersion": 0, "subject": "y"}
        form = post(server, path, body)
        assert (form["_type"], form["_embedded"]["schema"]["_type"]) == ("Form", "Schema")
        schema = form["_embedded"]["schema"]
        listed = schema["customField9"]
        assert [each["value"] for each in listed["_embedded"]["allowedValues"]] == ["Да", "Нет"]
        assert [each["href"] for each in listed["_links"]["allowedValues"]] == [
            "/api/v3/custom_options/31",
            "/api/v3/custom_options/32",
        ]
        people = schema["customField15"]["_links"]["allowedValues"]["href"]
        assert people.startswith("/api/v3/principals?filters=")
        found = ask(server, "GET", people).json()["_embedded"]["elements"]
        assert [each["_type"] for each in found] == ["User", "User", "User", "Group"]
        assert schema["customField12"]["_links"]["allowedValues"] == {"href": "/api/v3/custom_fields/12/items"}
        assert [each["title"] for each in schema["customField17"]["_links"]["allowedValues"]] == ["1.0", "Релиз осени"]
        assert server.work_packages[0].subject == "x"


def test_a_form_is_for_whoever_may_write_what_it_is_about() -> None:
    """app/contracts/work_packages/create_contract.rb and update_contract.rb, projects/create_form_api.rb."""
    with OpenProjectSandbox(instance=Instance(rights=frozenset({"view", "edit"}))) as server:
        assert error_of(ask(server, "POST", "/api/v3/projects/1/work_packages/form", {})) == (403, "MissingPermission")
        assert error_of(ask(server, "POST", "/api/v3/projects/form", {})) == (403, "MissingPermission")
    with OpenProjectSandbox() as server:
        post(server, "projects/1/work_packages", {"subject": "x"})
        assert error_of(ask(server, "POST", "/api/v3/work_packages/1/form", {})) == (409, "UpdateConflict")


def test_what_a_form_finds_wrong_is_told_beside_the_form() -> None:
    """docs/api/apiv3/tags/forms.yml: an HTTP 200 with validationErrors."""
    with OpenProjectSandbox() as server:
        form = post(server, "projects/1/work_packages/form", {"subject": "x" * 256})
        assert list(form["_embedded"]["validationErrors"]) == ["subject"]
        assert "commit" not in form["_links"]
        wrong = {"_links": {"status": {"href": "/api/v3/types/1"}}}
        assert error_of(ask(server, "POST", "/api/v3/projects/1/work_packages/form", wrong)) == (
            422,
            "ResourceTypeMismatch",
        )


def test_a_hierarchy_is_listed_depth_first_with_its_root() -> None:
    """lib/api/v3/custom_fields/hierarchy/items_api.rb and hierarchy_item_representer.rb."""
    with OpenProjectSandbox() as server:
        rows = get(server, "custom_fields/12/items")["_embedded"]["elements"]
        assert [(each["label"], each["depth"]) for each in rows] == [
            *((None, None), ("Россия", 0), ("Москва", 1), ("Центр", 2), ("Тверь", 1)),
            *(("Казахстан", 0), ("Астана", 1), ("Центр", 2)),
        ]
        assert rows[1]["_links"]["self"] == {"href": "/api/v3/custom_field_items/71", "title": "Россия (RU)"}
        assert [each["weight"] for each in get(server, "custom_fields/13/items")["_embedded"]["elements"]] == [
            None,
            "1.0",
            "10.5",
        ]
        assert get(server, "custom_field_items/81")["label"] == "низкий"
        assert error_of(ask(server, "GET", "/api/v3/custom_fields/9/items")) == (422, "UnprocessableContent")


def test_a_linked_field_takes_an_address_and_no_value() -> None:
    with OpenProjectSandbox() as server:
        made = post(server, "projects/1/work_packages", {"subject": "x", "customField9": "Да"})
        assert made["_links"]["customField9"] == {"href": None, "title": None}
        wrong = {"subject": "x", "_links": {"customField9": {"href": "/api/v3/custom_options/41"}}}
        assert error_of(ask(server, "POST", "/api/v3/projects/1/work_packages", wrong))[0] == 422


# -- names -----------------------------------------------------------------------------------------------------------


def test_display_ids_are_shown_since_17_5_and_addresses_hold_numbers() -> None:
    """work_package_representer.rb, displayId and self_v3_path."""
    for instance, shown in (
        (Instance(version=(17, 4)), None),
        (Instance(), "1"),
        (Instance(semantic=True), "CONTRACTS-1"),
    ):
        with OpenProjectSandbox(instance=instance) as server:
            made = post(server, "projects/1/work_packages", {"subject": "x"})
            assert made.get("displayId") == shown
            assert made["_links"]["self"]["href"] == "/api/v3/work_packages/1"


@pytest.mark.parametrize(
    ("instance", "name", "status"),
    [
        (Instance(version=(17, 4)), "CONTRACTS-1", 400),
        (Instance(version=(17, 4)), "1", 200),
        (Instance(), "CONTRACTS-1", 404),
        (Instance(semantic=True), "CONTRACTS-1", 200),
        (Instance(semantic=True), "contracts-1", 200),  # what the project was called before
        (Instance(semantic=True), "Contracts-1", 404),
        (Instance(semantic=True), "CONTRACTS-01", 404),
        (Instance(semantic=True), "01", 404),
    ],
)
def test_who_is_found_under_an_address(instance: Instance, name: str, status: int) -> None:
    """work_packages_api.rb (before 17.5: a whole number) and semantic_identifier/finder_methods.rb."""
    with OpenProjectSandbox(instance=instance) as server:
        post(server, "projects/1/work_packages", {"subject": "x"})
        assert ask(server, "GET", f"/api/v3/work_packages/{name}").status_code == status


@pytest.mark.parametrize(
    ("semantic", "identifier", "status"),
    [
        *((False, "a-b_1", 201), (False, "A", 422), (False, "12", 422), (False, "new", 422), (False, "x" * 101, 422)),
        *((True, "A_1", 201), (True, "a", 422), (True, "1A", 422), (True, "A-B", 422), (True, "NEW", 422)),
        *((True, "ELEVEN_LONG", 422), (True, "CONTRACTS", 422), (False, "contracts", 422)),
    ],
)
def test_what_a_project_may_be_called(semantic: bool, identifier: str, status: int) -> None:
    """app/models/projects/identifier.rb, app/validators/projects/identifier_validator.rb."""
    with OpenProjectSandbox(instance=Instance(semantic=semantic)) as server:
        answer = ask(server, "POST", "/api/v3/projects", {"name": "x", "identifier": identifier})
        assert answer.status_code == status


# -- addresses, people, dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/v3/work_packages/", "/api/v3//work_packages", "//api/v3/work_packages", "/api//v3/work_packages///"]
)
def test_double_and_trailing_slashes_are_none(path: str) -> None:
    """Grape::Router.normalize_path of ruby-grape/grape squeezes them."""
    with OpenProjectSandbox() as server:
        assert ask(server, "GET", path).json()["_type"] == "WorkPackageCollection"
        assert ask(server, "GET", "/api/v3/work_packages/x/y").status_code == 404


def test_me_is_the_tokens_user() -> None:
    """lib/api/v3/users/users_api.rb; a login is an address, too (find_by_unique)."""
    with OpenProjectSandbox() as server:
        assert (get(server, "users/me")["id"], get(server, "users/1")["name"]) == (1, "OpenProject Admin")
        assert get(server, "users/sokolova")["id"] == 4
        assert get(server, "")["_links"]["user"]["href"] == "/api/v3/users/1"
        assert ask(server, "GET", "/api/v3/users/6").status_code == 404  # a group


def test_logins_and_addresses_are_for_those_who_manage_users() -> None:
    """users/user_representer.rb: `cache_if: current_user_can_manage?`."""
    with OpenProjectSandbox(instance=Instance(admin=False)) as server:
        rows = get(server, "projects/1/available_assignees")["_embedded"]["elements"]
        assert [("login" in each, "email" in each) for each in rows] == [(True, True), *[(False, False)] * 3]


def test_memberships_tell_who_is_where() -> None:
    """lib/api/v3/memberships/membership_representer.rb."""
    with OpenProjectSandbox() as server:
        body = get(server, "memberships", filters=filters(principal=("=", ["me"])))
        assert [each["_links"]["project"]["title"] for each in body["_embedded"]["elements"]] == [
            *("Договоры", "Офис", "Без ключа")
        ]
        links = {"project": {"href": "/api/v3/projects/2"}, "principal": {"href": "/api/v3/users/4"}}
        made = post(server, "memberships", {"_links": {**links, "roles": [{"href": "/api/v3/roles/3"}]}})
        assert get(server, f"memberships/{made['id']}")["_links"]["roles"][0]["title"] == "Member"
        assert ask(server, "GET", "/api/v3/memberships", filters=filters(nonsense=("=", ["1"]))).status_code == 400


@pytest.mark.parametrize(("day", "kept"), [("2026-11-27", "2026-11-27"), ("2026-11-28", "2026-11-30")])
def test_dates_on_days_off_move(day: str, kept: str) -> None:
    """app/services/work_packages/set_attributes_service.rb, shift_dates_to_soonest_working_days."""
    with OpenProjectSandbox() as server:
        made = post(server, "projects/1/work_packages", {"subject": "x", "startDate": None, "dueDate": day})
        assert made["dueDate"] == kept


def test_a_write_without_a_content_type_is_told_in_plain_text() -> None:
    """lib/api/root_api.rb, enforce_content_type: GET and DELETE need none."""
    with OpenProjectSandbox() as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        answer = requests.post(f"{server.url}/api/v3/work_packages", headers=headers, timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (406, "text/plain")
        post(server, "projects/1/work_packages", {"subject": "x"})
        assert ask(server, "DELETE", "/api/v3/work_packages/1").status_code == 204
