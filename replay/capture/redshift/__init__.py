"""Capture from Redshift: its audit log files and its system views."""
