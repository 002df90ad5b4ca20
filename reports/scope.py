"""The samples a gate looks at: `where` by user, application, database, kind or template."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from reports import callers
from reports.load import Evidence
from reports.stats.estimate import Bools
from reports.stats.slices import looked_up

Where = Mapping[str, tuple[str, ...]]
"""Allowed names by label; a sample is inside when each label has one of its names."""

EVERYWHERE: Where = MappingProxyType({})
LABELS = (*callers.FIELDS, "kind", "template")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """`code` (n) of each sample indexes `words`; a word is None where it is not known."""

    code: npt.NDArray[np.int32]
    words: tuple[str | None, ...]


def labels_of(evidence: Evidence, label: str) -> Labels | None:
    """What each sample has as `label`, one of `LABELS`; None where the workload is gone."""
    if label == "template":
        ids = tuple(template.template_id for template in evidence.templates)
        return Labels(code=evidence.template, words=ids)
    named: list[str | None]
    code: npt.NDArray[Any]
    if label == "kind":
        named, code = [template.kind for template in evidence.templates], evidence.template
    elif evidence.callers is None:
        return None
    else:
        at = callers.FIELDS.index(label)
        named = [caller[at] for caller in evidence.callers.known]
        code = evidence.callers.code
    words = {word: number for number, word in enumerate(dict.fromkeys(named))}
    lookup = np.array([words[word] for word in named], dtype=np.int32)
    return Labels(code=looked_up(lookup, code), words=tuple(words))


def select(evidence: Evidence, where: Where) -> Bools:
    """True (n) where a sample is inside; none is where a label is not known."""
    inside = np.ones(len(evidence), dtype=bool)
    for label, names in where.items():
        labels = labels_of(evidence, label)
        if labels is None:
            return np.zeros(len(evidence), dtype=bool)
        named = np.array([word in names for word in labels.words], dtype=bool)
        inside &= looked_up(named, labels.code)
    return inside


def why_empty(evidence: Evidence, where: Where) -> str | None:
    """Why `where` cannot be judged on this run; None where it can.

    Each name must occur: a gate that named two users and saw one would pass for both.
    """
    for label, names in where.items():
        labels = labels_of(evidence, label)
        if labels is None:
            return (
                f"`where.{label}` cannot be told, the workload is gone or has changed: put it back "
                f"where run.json says, at `{evidence.document['workload']['uri']}`"
            )
        counts = np.bincount(labels.code, minlength=len(labels.words))
        seen = sorted(w for w, n in zip(labels.words, counts, strict=True) if n and w is not None)
        for name in names:
            if name not in seen:
                return f"no statement of this run has {label} `{name}`; {_nearest(name, seen)}"
    if where and not select(evidence, where).any():
        return f"no statement of this run is of {in_words(where)}"
    return None


def in_words(where: Mapping[str, tuple[str, ...] | list[str]]) -> str:
    """`user a or b, kind select`."""
    return ", ".join(f"{label} {' or '.join(names)}" for label, names in where.items())


def _nearest(name: str, seen: list[str]) -> str:
    near = difflib.get_close_matches(name, seen, n=3, cutoff=0.5)
    if near:
        return f"nearest: {', '.join(f'`{each}`' for each in near)}"
    more = f" and {len(seen) - 5:,} more" if len(seen) > 5 else ""
    return f"it has {', '.join(f'`{each}`' for each in seen[:5])}{more}" if seen else "it has none"
