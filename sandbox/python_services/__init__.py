"""A local server of services for the demo and the tests: keyed, synchronous or with jobs.

with ServicesSandbox() as server:
    requests.post(server.base_url + "/jobs/report", json={"task_id": "7"}, headers={"Idempotency-Key": '"7"'})
    server.finish(1, {"pages": 3})
"""

from sandbox.python_services.sandbox import Job, LoggedRequest, ServicesSandbox

__all__ = ["Job", "LoggedRequest", "ServicesSandbox"]
