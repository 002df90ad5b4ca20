"""The stand-in as a process of its own that ends with whoever started it."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from replay.errors import Unreachable, UsageError
from replay.redshift_like.behaviour import Behaviour

_STOP_WITHIN_S = 10


class RedshiftLike:
    """A running stand-in; a context manager.

    `backend` is the URL of an embedded server of our own, for its catalog is changed. The process
    ends when its standard input does, which the kernel closes when we end in whatever way.
    """

    def __init__(self, backend: str, behaviour: Behaviour | None = None) -> None:
        self._backend = backend
        self._behaviour = behaviour or Behaviour()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RedshiftLike:
        """Start it.

        Raises:
            Unreachable: it does not start; it has said why on standard error.
        """
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "replay.redshift_like", self._backend),
                *self._behaviour.as_arguments(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is the owner's to obey.
            start_new_session=True,
        )
        self._address = self._read_line().removeprefix("listening on ")
        if not self._address:
            self.__exit__()
            raise Unreachable("the stand-in for Redshift did not start")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and every session with it."""
        if self._process is None:
            return
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = None

    def url(self, *, user: str = "postgres", scheme: str = "redshift") -> str:
        """A URL without a password; its TLS is verified where there is a certificate."""
        name = str(conninfo_to_dict(self._backend).get("dbname"))
        certificate = self._behaviour.certificate
        tls = f"verify-full&sslrootcert={quote(certificate)}" if certificate else "disable"
        return f"{scheme}://{quote(user)}@{self._address}/{quote(name)}?sslmode={tls}"

    def tell(self, line: str) -> None:
        """Control it: see replay.redshift_like.server.

        Raises:
            UsageError: it does not know the word.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._read_line()
        if answer != "ok":
            raise UsageError(f"the stand-in for Redshift does not take `{line}`: {answer}")

    def _read_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
