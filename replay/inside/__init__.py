"""What the target itself says of a run: its query history, its use, its metrics."""
