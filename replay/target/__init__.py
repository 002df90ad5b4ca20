"""The databases statements are sent to."""
