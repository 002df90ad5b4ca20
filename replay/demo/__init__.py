"""An ad server's reporting as it was (1.0) and as it will be (2.0), with customers that ask."""
