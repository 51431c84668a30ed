"""What ends a command in one line: the base of all errors that the user can mend."""

from __future__ import annotations


class PaperLenetError(Exception):
    """Wrong input, or something that is not there; the message is one line that names it."""
