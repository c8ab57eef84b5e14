"""From a sent queue to the response."""
