"""The REST API over HTTP, as a client meets it."""
