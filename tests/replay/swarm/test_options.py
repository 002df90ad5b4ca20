"""Options as Locust's own parser sees them, in a process of its own: Locust patches it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PARSE = """
import sys
from locust import argument_parser, events
from replay.swarm.options import add_options

events.init_command_line_parser.add_listener(add_options)
options = argument_parser.get_parser().parse_args(sys.argv[1:])
print(options.master_bind_host, options.web_host)
"""


@pytest.mark.parametrize(
    ("options", "environment", "bound"),
    [
        ([], {}, ["127.0.0.1", "127.0.0.1"]),
        (["--master-bind-host", "10.0.0.5"], {}, ["10.0.0.5", "127.0.0.1"]),
        ([], {"LOCUST_MASTER_BIND_HOST": "*"}, ["*", "127.0.0.1"]),
        (["--web-host", "::1"], {"LOCUST_WEB_HOST": "0.0.0.0"}, ["127.0.0.1", "::1"]),
    ],
    ids=["plain", "option", "environment", "option and environment"],
)
def test_ports_are_loopbacks_unless_told_otherwise(
    options: list[str], environment: dict[str, str], bound: list[str]
) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PARSE, *options],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.split() == bound
