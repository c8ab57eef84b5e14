"""Sweeps a sent queue: asks the tracker about its tasks and sends the responses to Camunda."""
