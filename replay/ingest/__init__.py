"""The background writer: rows go into 2.0 while its readers are replayed."""
