"""The life of the process: start and stop, logs, systemd, alerts, loading of handlers by name."""
