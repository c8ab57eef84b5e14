"""The whole worker as a process, counted from outside by task id."""
