"""What stands between two dialects beyond their grammar: rewriting, and refusing.

sqlglot parses and writes; where what it writes would fail or mean something else on 2.0, a rule
here gives the tree another form or says that there is none. Rules see a parsed tree of 1.0's
dialect, before its names move.
"""

from __future__ import annotations

from sqlglot import exp

from replay.prepare.rules.mysql import from_mysql
from replay.prepare.rules.postgres import from_redshift
from replay.prepare.rules.redshift import to_redshift


def adapt(tree: exp.Expr, *, read: str, write: str) -> exp.Expr:
    """The tree in a form whose text, as sqlglot writes it, means on `write` what it did on `read`.

    Raises:
        UnsupportedError: there is none; names the construct.
    """
    if read == "mysql":
        tree = from_mysql(tree)
    if read == "redshift" and write == "postgres":
        tree = from_redshift(tree)
    if write == "redshift":
        tree = to_redshift(tree)
    return tree
