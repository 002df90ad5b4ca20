"""From 1.0's questions to 2.0's: dialect, places, and how much of the workload they cover."""

DIALECTS = ("postgres", "redshift", "mysql")
"""What `prepare` reads."""
TARGETS = ("postgres", "redshift")
"""What it writes."""

MEASURES = ("statements", "time", "concurrency")
"""By what a window is busy: statements begun in it, how long those took on 1.0, or how many ran
at once on average, wherever they began."""
