"""What must not reach a workload: secrets by default, every literal on request."""

from replay.capture.redact.redactor import KEY_VARIABLE, MODES, Redactor

__all__ = ["KEY_VARIABLE", "MODES", "Redactor"]
