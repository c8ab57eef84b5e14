"""An application of the API served by a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from api.serving import make_server
from testbench.harness import wait_until

PATIENCE = 60.0  # seconds


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve the application; yield its address, e.g. "http://127.0.0.1:40001"."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(app, "127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="api-of-a-bench")
        thread.start()
        wait_until(lambda: server.started, PATIENCE, "the API")
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            if thread.is_alive():
                raise TimeoutError("the API does not end")
