"""The operator's commands, against real workers, RabbitMQ and sandboxes."""
