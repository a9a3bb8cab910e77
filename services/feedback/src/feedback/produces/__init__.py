"""What goes out: one module a topic."""
