"""Logs that are tables: CSV, JSON lines and Parquet, whose columns a map explains."""
