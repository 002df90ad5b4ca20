"""From the logs a 1.0 system wrote to a workload."""
