"""What Redshift lacks or has otherwise (Amazon Redshift Database Developer Guide)."""

from __future__ import annotations

from sqlglot import exp

from replay.prepare.unsupported import UnsupportedError

_NODES: dict[type[exp.Expr], str] = {
    exp.Filter: "FILTER on an aggregate",
    exp.Lateral: "LATERAL",
    exp.GenerateSeries: "generate_series",
    exp.ExplodingGenerateSeries: "generate_series",
    exp.Array: "an array",
    exp.ArrayAgg: "array_agg",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Lock: "row locks (FOR UPDATE)",
}
_LACKING = frozenset(
    "pg_sleep unnest array_to_string string_to_array json_agg jsonb_agg row_to_json "
    "to_json to_jsonb json_build_object jsonb_build_object jsonb_array_elements "
    "json_array_elements regexp_matches regexp_split_to_table width_bucket make_interval".split()
)


def to_redshift(tree: exp.Expr) -> exp.Expr:
    """Give constructs that Redshift lacks a form that it has.

    Raises:
        UnsupportedError: a construct has none.
    """
    for node in tree.walk():
        if type(node) in _NODES:
            raise UnsupportedError(f"redshift has no {_NODES[type(node)]}")
        # What sqlglot knows by name it writes as Redshift has it.
        if isinstance(node, exp.Anonymous) and node.name.lower() in _LACKING:
            raise UnsupportedError(f"redshift has no {node.name.lower()}()")
        if isinstance(node, exp.GroupConcat) and isinstance(node.this, exp.Order):
            raise UnsupportedError("an ordered string_agg needs LISTAGG ... WITHIN GROUP")
    return tree
