"""Turn a run into statistics, gates, a verdict and its pages."""
