"""What comes in: requests over HTTP, and which version serves."""
