"""What the monitor decides, and why; knows no framework."""
