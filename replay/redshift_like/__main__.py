"""`python -m replay.redshift_like URL`: a stand-in that lasts until its standard input ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import sys
import threading
from dataclasses import fields

import psycopg

from replay.errors import FourstepError, Unreachable, describe
from replay.redshift_like.behaviour import Behaviour
from replay.redshift_like.server import Server
from replay.target.serving import serving


async def _serve(backend: str, behaviour: Behaviour) -> None:
    server = Server(backend, behaviour)
    try:
        port = await server.open()
    except (OSError, OverflowError, psycopg.Error) as error:
        raise Unreachable("the stand-in cannot serve") from error
    print(f"listening on 127.0.0.1:{port}", flush=True)
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    arguments = (asyncio.get_running_loop(), lines)
    # A daemon, for Ctrl-C must not wait for a line.
    threading.Thread(target=_pass_on_input, args=arguments, daemon=True).start()
    while line := await lines.get():
        try:
            await server.control(line.decode())
            print("ok", flush=True)
        except ValueError as error:
            print(f"error: {error}", flush=True)


def _pass_on_input(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes]) -> None:
    """Standard input, whatever it is, line by line; an empty one is its end."""
    chunk = b"?"
    while chunk:
        chunk = os.read(0, 4_096)
        for line in chunk.splitlines() or [b""]:
            loop.call_soon_threadsafe(lines.put_nowait, line)


def main() -> int:
    """Serve a URL, an `embedded:` one too; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m replay.redshift_like", description=__doc__)
    parser.add_argument("backend", metavar="URL", help="embedded:2.0, or a server of our own")
    for each in fields(Behaviour):
        kind = type(each.default)
        name = f"--{each.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=each.default, help=each.metadata["help"])
    chosen = vars(parser.parse_args())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with serving(chosen.pop("backend")) as url, contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(url, Behaviour(**chosen)))
    except FourstepError as error:
        print(describe(error), file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
