"""When to train, on what, and who wins. No framework, no clock, no I/O."""
