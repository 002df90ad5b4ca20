"""What every test may ask for: see tests.servers."""

pytest_plugins = ["tests.servers", "tests.aws", "tests.redshift_api"]
