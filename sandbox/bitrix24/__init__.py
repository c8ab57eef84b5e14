"""A faithful local Bitrix24 portal (REST v2) for the demo, the tests and the benchmarks.

with BitrixSandbox() as portal:
    requests.post(portal.webhook_url + "tasks.task.add", json={"fields": {...}})
    portal.finish(1, answer="ДА")
"""

from sandbox.bitrix24.crm_fields import CrmField
from sandbox.bitrix24.errors import RestError
from sandbox.bitrix24.limits import ENTERPRISE_RATE, STANDARD_RATE, OperatingLimit, RateLimit
from sandbox.bitrix24.people import DEFAULT_USERS, Department, User
from sandbox.bitrix24.sandbox import BitrixSandbox
from sandbox.bitrix24.userfields import BARE_USER_FIELDS, DEFAULT_USER_FIELDS, UserField

__all__ = [
    "BARE_USER_FIELDS",
    "DEFAULT_USERS",
    "DEFAULT_USER_FIELDS",
    "ENTERPRISE_RATE",
    "STANDARD_RATE",
    "BitrixSandbox",
    "CrmField",
    "Department",
    "OperatingLimit",
    "RateLimit",
    "RestError",
    "User",
    "UserField",
]
