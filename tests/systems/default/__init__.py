"""The default queue: other queues, a webhook, people."""
