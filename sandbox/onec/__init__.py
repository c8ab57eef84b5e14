"""A faithful local 1C (standard OData interface, an HTTP service) for the demo and the tests.

with OneCSandbox() as base:
    requests.post(base.url + "/odata/standard.odata/Catalog_Контрагенты?$format=json", json={...}, auth=...)
    base.finish("Task_ЗадачаИсполнителя/<guid>", "Исполнено")
"""

from sandbox.onec.errors import ODataError
from sandbox.onec.sandbox import OneCSandbox
from sandbox.onec.schema import ENTITIES, Attribute, Entity
from sandbox.onec.store import Store

__all__ = ["ENTITIES", "Attribute", "Entity", "ODataError", "OneCSandbox", "Store"]
