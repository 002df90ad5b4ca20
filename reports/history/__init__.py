"""Night after night: each run's summary kept, and tonight against the nights before."""
