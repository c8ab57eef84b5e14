"""Run with pyopenproject's own Python: address and token in, what it has seen out, as JSON."""

import json
import sys

from pyopenproject.business.exception.business_error import BusinessError
from pyopenproject.model.project import Project
from pyopenproject.model.user import User
from pyopenproject.model.work_package import WorkPackage
from pyopenproject.openproject import OpenProject

server = OpenProject(url=sys.argv[1], api_key=sys.argv[2])
packages, projects = server.get_work_package_service(), server.get_project_service()
first = Project({"id": 1})


def links(**targets: str) -> dict[str, dict[str, str]]:
    return {name: {"href": f"/api/v3/{address}"} for name, address in targets.items()}


form = projects.create_work_package_form(first, WorkPackage({"_links": links(type="types/1")}))
schema = form._embedded["schema"]
options = {each["value"]: each["id"] for each in schema["customField9"]["_embedded"]["allowedValues"]}
chosen = links(project="projects/1", type="types/1", customField9=f"custom_options/{options['Да']}")
made = packages.create(WorkPackage({"subject": "Проба", "_links": chosen}))
for number in range(25):
    packages.create(WorkPackage({"subject": f"№ {number}", "_links": links(project="projects/1")}))
changed = packages.update(WorkPackage({"id": made.id, "lockVersion": made.lockVersion, "subject": "Новая тема"}))
try:
    packages.update(WorkPackage({"id": made.id, "lockVersion": 99, "subject": "zu spät"}))
    refused = ""
except BusinessError as error:
    refused = str(error.__cause__)
seen = {
    "options": options,
    "created": [made.id, made.subject, made._links["customField9"]["title"]],
    "changed": changed.subject,
    "refused": "UpdateConflict" in refused,
    "found": packages.find(made).subject,
    "all": len(packages.find_all()),
    "of the project": len(projects.find_work_packages(first)),
    "projects": [each.name for each in projects.find_all()],
    "types": [each.name for each in projects.find_types(first)],
    "versions": [each.name for each in projects.find_versions(first)],
    "assignees": [each.name for each in projects.find_available_assignees(first)],
    "statuses": [each.name for each in server.get_status_service().find_all()],
    "members": len(server.get_membership_service().find_all()),
    "me": server.get_user_service().find(User({"id": "me"})).name,
}
sys.stdout.write(json.dumps(seen))
