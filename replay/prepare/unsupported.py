"""What prepare cannot carry over, said without any literal of a user.

Apart from the errors of `replay.errors`: an unsupported template is a result, not a failure.
"""

from __future__ import annotations


class UnsupportedError(Exception):
    """A statement that has no faithful form on 2.0; the text names the construct."""
