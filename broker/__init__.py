"""What consumer and publisher stand on: connections, channels, topology, what RabbitMQ refuses."""
