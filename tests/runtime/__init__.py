"""The life of the process: logs, signals, threads, alerts."""
