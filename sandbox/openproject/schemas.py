"""Schemas and forms: what fields there are, and, in forms only, what may be chosen.

`GET work_packages/schemas/1-2` builds its schema without `form_embedded` (work_package_schemas_api.rb), the forms build
theirs with it (form_representer.rb); without it neither options nor addresses of options are written
(lib/api/decorators/schema_representer.rb).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.openproject import custom, identifiers, writing
from sandbox.openproject.errors import ApiError, forbidden
from sandbox.openproject.objects import CustomField, Project, WorkPackage
from sandbox.openproject.state import State

Json = dict[str, Any]


def of_type(state: State, project: int, kind: int) -> Json:
    address = f"/api/v3/work_packages/schemas/{project}-{kind}"
    fields = state.fields_of(project, kind)
    return _schema(state, fields, project, in_form=False) | {"_links": {"self": {"href": address}}}


def creation_form(state: State, body: Json, project: Project | None) -> tuple[int, Json]:
    try:
        draft = writing.draft(state, body, project)
    except ApiError as error:
        if error.attribute is None:
            raise
        return 200, _form("work_packages/form", "work_packages", "post", _schema(state, (), None, in_form=True), error)
    problem = _problem_of(state, draft, body)
    if not draft.subject and problem is None:
        problem = ApiError(422, "PropertyConstraintViolation", "Тема не может быть пустой.", attribute="subject")
    return 200, _form("work_packages/form", "work_packages", "post", _schema_of(state, draft), problem)


def change_form(state: State, each: WorkPackage, body: Json) -> tuple[int, Json]:
    writing.check_version(state, each, body)
    draft = writing.copy_of(each)
    problem = _problem_of(state, draft, body)
    address = f"work_packages/{each.id}"
    return 200, _form(f"{address}/form", address, "patch", _schema_of(state, draft), problem)


def project_form(state: State, body: Json) -> tuple[int, Json]:
    if "add_project" not in state.instance.rights:
        raise forbidden()
    problem = identifiers.problem(state, body.get("identifier")) if body.get("identifier") is not None else None
    if not body.get("name"):
        problem = ApiError(422, "PropertyConstraintViolation", "Имя не может быть пустым.", attribute="name")
    schema = _schema(state, state.project_fields.values(), None, in_form=True)
    return 200, _form("projects/form", "projects", "post", schema, problem)


def _problem_of(state: State, draft: WorkPackage, body: Json) -> ApiError | None:
    try:
        writing.apply(state, draft, body)
    except ApiError as error:
        if error.status != 422 or error.attribute is None:
            raise  # a link that is none is refused before there is a form
        return error
    return None


def _schema_of(state: State, draft: WorkPackage) -> Json:
    return _schema(state, state.fields_of(draft.project, draft.type), draft.project, in_form=True)


def _schema(state: State, fields: Iterable[CustomField], project: int | None, *, in_form: bool) -> Json:
    subject = {"type": "String", "name": "Тема", "required": True, "hasDefault": False, "writable": True}
    entries = {each.key: custom.schema(each, state, project, in_form=in_form) for each in fields}
    return {"_type": "Schema", "_dependencies": [], "subject": {**subject, "options": {}}, **entries, "_links": {}}


def _form(address: str, target: str, method: str, schema: Json, problem: ApiError | None) -> Json:
    post = {"href": f"/api/v3/{address}", "method": "post"}
    commit = {} if problem else {"commit": {"href": f"/api/v3/{target}", "method": method}}
    errors = {problem.attribute: problem.body} if problem else {}
    return {
        "_type": "Form",
        "_embedded": {"payload": {"_links": {}}, "schema": schema, "validationErrors": errors},
        "_links": {"self": post, "validate": post, **commit},
    }
