"""The basis of consumer and publisher: connections, channels, topology, what RabbitMQ refuses."""
