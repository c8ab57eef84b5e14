"""The door of a running worker: a Unix socket in its state directory, for the commands and the API of the same user."""
