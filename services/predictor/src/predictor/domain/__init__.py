"""Checking a request, scoring it, and swapping models. No framework."""
