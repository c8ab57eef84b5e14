"""The REST API: what an operator asks and has done, over HTTP, in a process of its own beside the worker."""
