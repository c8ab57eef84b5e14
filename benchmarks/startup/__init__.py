"""How soon the daemon works after its start, and what it needs when there is nothing to do."""
