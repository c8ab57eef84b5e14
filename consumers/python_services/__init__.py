"""Python services: HTTP services and callables of a registry file, synchronous or as jobs that are asked about."""

from consumers.python_services.handler import PythonServicesHandler
from consumers.python_services.tracker import PythonServicesTracker

__all__ = ["PythonServicesHandler", "PythonServicesTracker"]
