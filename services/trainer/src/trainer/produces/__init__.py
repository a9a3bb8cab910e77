"""What goes out, a module a topic."""
