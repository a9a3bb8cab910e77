"""What comes in, one module a topic."""
