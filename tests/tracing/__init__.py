"""The worker's steps as spans of OpenTelemetry."""
