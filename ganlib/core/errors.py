"""The error that a user can mend."""


class UserError(ValueError):
    """Something that the user gave cannot be used: one line that names the key or file and the mend."""


class StoppedError(UserError):
    """Somebody has stopped this on purpose; the message says what is kept."""
