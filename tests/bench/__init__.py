"""Benchmarks: figures beside a peer's, measured in one run. Not tests; nothing here can fail."""
