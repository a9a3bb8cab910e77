"""What comes in, a module a topic: parse, then tell the knowledge."""
