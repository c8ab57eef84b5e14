"""No name can be resolved, for the worker's process alone, while a file exists: what a dead DNS server does.

`socket.getaddrinfo` is what pika and requests ask, for addresses in digits, too, so that an address will do as a name.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from benchmarks.faults.patching import instead


def install(file: Path) -> None:
    """Whatever this process asks while `file` exists fails as `EAI_AGAIN`."""

    def resolved(original: Any, *args: Any, **kwargs: Any) -> Any:
        if file.exists():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return original(*args, **kwargs)

    instead(socket, "getaddrinfo", resolved)
