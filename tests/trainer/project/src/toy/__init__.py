"""A project as small as one can be: the trainer must run any, knowing none by name."""
