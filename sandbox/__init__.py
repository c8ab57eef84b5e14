"""The outside world in small: a RabbitMQ node, a proxy, a local server of each system."""
