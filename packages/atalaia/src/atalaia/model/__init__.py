"""Which version serves, and which one shadows it."""
