"""What happened, told once: classes by whom it concerns."""
