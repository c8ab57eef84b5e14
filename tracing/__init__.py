"""The worker's steps as spans of OpenTelemetry: an extra, which is loaded where it is asked for."""
