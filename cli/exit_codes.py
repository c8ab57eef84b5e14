"""The exit codes by which the commands report to their caller."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_CHECK_FAILED = 3  # something outside refuses or does not answer
EXIT_STILL_WAITING = 4
EXIT_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h; systemd: RestartPreventExitStatus=78
EXIT_INTERRUPTED = 130
