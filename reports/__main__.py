"""`python -m reports` is the command `fourstep`."""

from reports.cli import main

main()
