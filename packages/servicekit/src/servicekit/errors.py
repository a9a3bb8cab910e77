"""What a user can mend: said in one clear line, with no stack trace."""


class UserError(Exception):
    """A mistake or missing dependency of the user's; the message says what to do."""
