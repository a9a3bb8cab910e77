"""The page: its application, and in ``static`` all that a browser loads."""
