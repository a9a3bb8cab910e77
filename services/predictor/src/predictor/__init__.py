"""Serves the champion and publishes every prediction to Kafka."""
