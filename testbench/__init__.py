"""The worker as a process, and its parts on a bench, for tests and benchmarks."""
