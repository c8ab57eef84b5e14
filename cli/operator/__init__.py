"""The commands by which an operator sees and steers the worker."""
