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
from replay.target import cluster
from replay.target.embedded import EmbeddedServer, loaded_cluster, open_embedded

BOUND_S = 40.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs postgres as another user")


@pytest.fixture(scope="module")
def spare_home() -> Iterator[Path]:
    """A home of its own; short, with a space in it, passable for every user."""
    path = Path(tempfile.mkdtemp(prefix="four step "))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(spare_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the spare home the home for one test."""
    monkeypatch.setenv("FOURSTEP_HOME", os.fspath(spare_home))
    return spare_home


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


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


def run_owner(script: str) -> subprocess.Popen[str]:
    """A process that starts a server and runs `script` with it; prints the directory first."""
    text = (
        "import os, signal, sys, time\n"
        "from replay.target.embedded import EmbeddedServer\n"
        "import psycopg\n"
        "server = EmbeddedServer('owned').start()\n"
        "print(server.directory, flush=True)\n"
        f"{script}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def read_directory(owner: subprocess.Popen[str]) -> Path:
    assert owner.stdout is not None
    return Path(owner.stdout.readline().strip())


def test_a_stopped_server_leaves_no_process_and_no_directory() -> None:
    server = EmbeddedServer("stopped").start()
    directory = server.directory
    postmaster = postmaster_of(directory)
    assert answer(server.url(), "SELECT 6 * 7") == 42
    assert len(processes_in(directory)) >= 2
    server.stop()
    assert not directory.exists()
    assert processes_in(directory) == []
    assert ended(postmaster)
    server.stop()


def test_a_stopped_server_starts_again() -> None:
    server = EmbeddedServer("again")
    for _ in range(2):
        with server:
            assert answer(server.url(), "SELECT 1") == 1


def test_settings_and_template_take_effect(embedded_empty: EmbeddedServer) -> None:
    assert answer(embedded_empty.url(), "SHOW listen_addresses") == ""
    with EmbeddedServer("set", settings={"work_mem": "7MB", "port": "6543"}) as server:
        assert answer(server.url(), "SHOW work_mem") == "7MB"
        assert "port=6543" in server.url()


def test_a_path_with_a_space_is_encoded_in_the_url(home: Path) -> None:
    with EmbeddedServer("space") as server:
        assert "four%20step" in server.url()
        assert answer(server.url(), "SELECT 1") == 1
    assert [path.name for path in (home / "embedded").iterdir()] == [".lock"]


def test_the_directory_is_private(embedded_empty: EmbeddedServer) -> None:
    assert stat.S_IMODE(embedded_empty.directory.stat().st_mode) == 0o700


def test_a_killed_owner_takes_its_server_along() -> None:
    with run_owner("time.sleep(600)") as owner:
        directory = read_directory(owner)
        postmaster = postmaster_of(directory)
        owner.kill()
    assert eventually(lambda: not directory.exists())
    assert eventually(lambda: not processes_in(directory))
    assert ended(postmaster)


def test_interrupting_the_terminal_does_not_reach_the_server() -> None:
    with EmbeddedServer("session") as server:
        sessions = {os.getsid(pid) for pid in processes_in(server.directory)}
        assert os.getsid(0) not in sessions


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
        directory = read_directory(owner)
        assert owner.stdout is not None
        assert owner.stdout.read().strip() == "42"
    assert owner.returncode == 0
    assert not directory.exists()


def test_a_forked_child_that_lives_on_does_not_keep_the_server() -> None:
    script = (
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(600)\n"
        "print(child, flush=True)\n"
        "time.sleep(600)\n"
    )
    with run_owner(script) as owner:
        directory = read_directory(owner)
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        owner.kill()
        try:
            assert eventually(lambda: not directory.exists())
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_left_over_is_found_and_stopped(home: Path) -> None:
    script = "os.kill(server._guardian.pid, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    with run_owner(script) as owner:
        directory = read_directory(owner)
    postmaster = postmaster_of(directory)
    assert psutil.pid_exists(postmaster)
    assert directory.parent == home.resolve() / "embedded"
    with EmbeddedServer("next") as server:
        assert not directory.exists()
        assert ended(postmaster)
        assert answer(server.url(), "SELECT 1") == 1


def test_a_sweep_spares_servers_that_are_in_use(embedded_empty: EmbeddedServer) -> None:
    with EmbeddedServer("next"):
        assert answer(embedded_empty.url(), "SELECT 1") == 1


def test_stopping_works_when_the_guardian_was_killed() -> None:
    server = EmbeddedServer("orphan").start()
    directory, postmaster = server.directory, postmaster_of(server.directory)
    assert server._guardian is not None
    server._guardian.kill()
    assert answer(server.url(), "SELECT 1") == 1
    server.stop()
    assert not directory.exists()
    assert ended(postmaster)


def test_a_guardian_that_is_terminated_stops_its_server() -> None:
    server = EmbeddedServer("terminated").start()
    directory = server.directory
    assert server._guardian is not None
    server._guardian.terminate()
    assert eventually(lambda: not directory.exists())
    server.stop()


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

    for _ in range(2):
        with EmbeddedServer("copy", template=loaded_cluster("kept", load)) as server:
            assert answer(server.url(), "SELECT value FROM kept") == 42
    assert len(loads) == 1
    assert home.is_dir()


def test_a_failed_load_leaves_no_template(home: Path) -> None:
    def load(server: EmbeddedServer) -> None:
        raise ZeroDivisionError(server.name)

    with pytest.raises(ZeroDivisionError):
        loaded_cluster("failed", load)
    left = {path.name.partition("-")[0] for path in (home / "templates").iterdir()}
    assert left <= {"bare", "kept", ".bare", ".kept", ".failed"}
    assert [path.name for path in (home / "embedded").iterdir()] == [".lock"]


@as_root
def test_root_runs_the_server_as_nobody(embedded_empty: EmbeddedServer) -> None:
    process = psutil.Process(postmaster_of(embedded_empty.directory))
    assert process.username() == "nobody"
    with psycopg.connect(embedded_empty.url()) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        assert os.fspath(embedded_empty.directory / "data") == backend.cwd()


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
    tree = cluster.binaries().parent
    package = tree.parent
    shutil.copytree(tree, tmp_path / package.name / tree.name, symlinks=True)
    shutil.copytree(f"{package}.libs", tmp_path / f"{package.name}.libs")
    (tmp_path / package.name / "__init__.py").touch()
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    assert cluster.binaries().is_relative_to(home.resolve() / "postgresql")
    with EmbeddedServer("copied") as server:
        assert answer(server.url(), "SELECT 1") == 1


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
    ("url", "hint"),
    [
        pytest.param("embedded:3.0", "embedded:1.0", id="unknown place"),
        pytest.param("embedded://2.0", "embedded:2.0", id="a host"),
        pytest.param("embedded:2.0?size=vast", "size=medium", id="unknown size"),
        pytest.param("embedded:2.0?sizes=small", "size=small", id="unknown option"),
    ],
)
def test_an_unknown_embedded_url_lists_the_valid_ones(url: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_embedded(url)
    assert hint in str(caught.value.hint)
