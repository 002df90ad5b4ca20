from __future__ import annotations

import pytest

from replay.target.embedded import EmbeddedServer
from tests.bench.pairs import COLLECTION, Score, measure

LEAST_ACCEPTED = {
    "tpch redshift → postgres": 1.0,
    "tpch postgres → redshift → back": 1.0,
    "tpcds redshift → postgres": 1.0,
    "tpcds postgres → redshift → back": 0.9,
    "public-bi → redshift → back": 1.0,
}
LEAST_COMPARED = {
    "tpch redshift → postgres": 8,
    "tpch postgres → redshift → back": 10,
    "public-bi → redshift → back": 100,
}


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    if not COLLECTION.is_dir():
        pytest.skip(f"the collection of query sets is not at {COLLECTION}")
    with EmbeddedServer("pairs") as server:
        return measure(COLLECTION, server.url())


@pytest.mark.parametrize("name", LEAST_ACCEPTED)
def test_public_queries_are_carried_over_or_named(scores: dict[str, Score], name: str) -> None:
    score = scores[name]
    assert score.wrong == []
    assert score.refused == {}
    assert score.accepted >= LEAST_ACCEPTED[name] * score.queries
    assert score.compared >= LEAST_COMPARED.get(name, 0)
    assert score.queries == score.accepted + score.unsupported.total()
