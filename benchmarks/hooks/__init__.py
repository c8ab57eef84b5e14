"""How soon a click is answered when the portal tells of it: run by `python -m benchmarks.hooks`."""
