"""Values and decisions: the standard library only, no input and no output."""
