"""What comes in: HTTP and one module a topic."""
