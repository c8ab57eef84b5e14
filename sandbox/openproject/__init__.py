"""A faithful local OpenProject (API v3) for the demo and the tests.

with OpenProjectSandbox() as server:
    requests.post(server.url + "/api/v3/projects/1/work_packages", json={...}, auth=("apikey", server.token))
    server.close(1)
"""

from sandbox.openproject.errors import ApiError
from sandbox.openproject.objects import CUSTOM_FIELDS, CustomField, Instance, Project, WorkPackage
from sandbox.openproject.sandbox import OpenProjectSandbox
from sandbox.openproject.state import State

__all__ = [
    "CUSTOM_FIELDS",
    "ApiError",
    "CustomField",
    "Instance",
    "OpenProjectSandbox",
    "Project",
    "State",
    "WorkPackage",
]
