"""The result cache's bounds; no server."""

from __future__ import annotations

from replay.redshift_like.result_cache import Cached, ResultCache


def test_the_oldest_answers_go_when_there_is_no_room() -> None:
    cache = ResultCache()
    for number in range(20):
        cache.keep(number, Cached(number, b"x" * 1_000_000, 1, 1), generation=0)
    assert list(cache.answers) == list(range(4, 20))
    cache.keep("long", Cached(21, b"x" * 1_000_001, 1, 1), generation=0)
    assert "long" not in cache.answers


def test_an_answer_begun_before_a_write_is_not_kept() -> None:
    cache = ResultCache()
    cache.forget()
    cache.keep("old", Cached(1, b"x", 1, 1), generation=0)
    assert not cache.answers
    cache.keep("new", Cached(1, b"x", 1, 1), generation=1)
    assert list(cache.answers) == ["new"]
