"""What of the stand-in can be chosen: the options of its command and of its tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any


def _option(default: Any, help: str) -> Any:  # noqa: ANN401  of a field
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the stand-in behaves; paths are text, and empty where there is none."""

    port: int = _option(0, "to listen on, on 127.0.0.1; 0 takes a free one")
    version: str = _option("1.0.123456", "Redshift's own version")
    slots: int = _option(5, "WLM slots: statements that run at once, others queue")
    compile_ms: int = _option(40, "what a statement of a new shape costs")
    connections: int = _option(500, "sessions at once; more are refused")
    view_delay_s: float = _option(0.5, "after which a statement appears in the system views")
    rpu: int = _option(0, "base capacity of a serverless workgroup; 0 is a provisioned cluster")
    passwords: str = _option("", "JSON file {password: expires, seconds since 1970}; else trust")
    certificate: str = _option("", "PEM file with key and certificate for 127.0.0.1; else no TLS")
    s3: str = _option("", "directory BUCKET/KEY from which COPY reads s3://BUCKET/KEY")
    hidden_views: str = _option("", "system views, with commas, that ordinary users may not read")

    def as_arguments(self) -> Sequence[str]:
        """The command's arguments that mean this."""
        return [f"--{each.name.replace('_', '-')}={getattr(self, each.name)}" for each in _FIELDS]


_FIELDS = fields(Behaviour)
