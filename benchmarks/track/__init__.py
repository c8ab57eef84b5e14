"""What it costs to follow open tasks: `python -m benchmarks.track`."""
