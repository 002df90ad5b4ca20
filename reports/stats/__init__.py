"""Statistics that carry their uncertainty: quantiles, intervals, bootstrap, sample sizes."""
