"""Shows Prometheus what the worker does: counts of the event stream, and figures that are asked for at each look."""
