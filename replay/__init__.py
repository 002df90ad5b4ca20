"""Capture a query log, prepare it for the new place, and replay it."""

__version__ = "0.1.0"
