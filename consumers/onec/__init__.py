"""1C:Enterprise: documents, catalogs, tasks and business processes over OData, and the customer's HTTP services."""

from consumers.onec.handler import OneCHandler
from consumers.onec.tracker import OneCTracker

__all__ = ["OneCHandler", "OneCTracker"]
