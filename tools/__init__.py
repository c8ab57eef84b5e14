"""What works on the project itself: its documents, its import rules, its locks."""
