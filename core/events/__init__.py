"""Events: what happened, reported once. The modules are divided by what the events concern."""
