"""The exit codes by which the commands report to their caller."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CHECK_FAILED = 3  # something outside refuses or does not answer
EXIT_STILL_WAITING = 4
EXIT_DEGRADED = 4  # the work goes on, but a person should look
EXIT_NOT_FOUND = 5
EXIT_CONFLICT = 6  # there is nothing to do, or not in this state
EXIT_PARTLY = 7  # of several things some did not succeed
EXIT_NO_WORKER = 75  # EX_TEMPFAIL of sysexits.h: no worker runs, or it does not answer
EXIT_NO_PERMISSION = 77  # EX_NOPERM
EXIT_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h; systemd: RestartPreventExitStatus=78
EXIT_INTERRUPTED = 130
