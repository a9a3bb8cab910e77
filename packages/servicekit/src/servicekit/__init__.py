"""What every service needs at its edges: settings, Kafka clients, health and metrics, the model registry."""
