"""The result that a statement cannot be carried over."""

from __future__ import annotations


class UnsupportedError(Exception):
    """A statement has no faithful form on 2.0: a result, not a failure.

    The text names the construct, may hint at a way out, and holds no literal of a user.
    """
