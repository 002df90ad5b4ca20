"""From 1.0's questions to 2.0's: dialect, places, and how much of the workload they cover."""

DIALECTS = ("postgres", "redshift", "mysql")
"""What `prepare` reads."""
TARGETS = ("postgres", "redshift")
"""What it writes."""
