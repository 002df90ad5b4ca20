from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from replay.artefact import sha256_of
from replay.capture.ahead import ahead
from replay.capture.source import find_sources
from replay.errors import Unreadable

PACKERS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
TEXT = b"".join(b"line %d\n" % n for n in range(200_000))


@pytest.mark.parametrize("packer", PACKERS)
def test_any_packer_is_recognised_by_its_bytes(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    # Rotation may append: members follow each other.
    path.write_bytes(PACKERS[packer](TEXT) + PACKERS[packer](b"tail\n"))
    (source,) = find_sources([str(path)])
    assert source.head(100) == TEXT[:100]
    with source.opened() as stream:
        assert stream.read() == TEXT + b"tail\n"
    assert source.damage is None
    assert (source.size, source.sha256.hexdigest()) == (path.stat().st_size, sha256_of(path))


@pytest.mark.parametrize("packer", [name for name in PACKERS if name != "plain"])
@pytest.mark.parametrize("harm", ["cut", "overwritten"])
def test_damage_is_told_and_what_came_before_is_read(
    packer: str, harm: str, tmp_path: Path
) -> None:
    packed = bytearray(PACKERS[packer](TEXT))
    middle = len(packed) * 3 // 4
    if harm == "cut":
        del packed[middle:]
    else:
        packed[middle : middle + 64] = bytes(64)
    path = tmp_path / "log"
    path.write_bytes(packed)
    (source,) = find_sources([str(path)])
    with source.opened() as stream:
        data = stream.read()
    assert TEXT.startswith(data[: len(data) // 2])
    assert source.damage is not None
    assert packer in source.damage


def test_directories_are_searched_and_order_is_by_name(tmp_path: Path) -> None:
    for name in ("b/2.log", "b/1.log", "a.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [source.name for source in find_sources([str(tmp_path)])] == ["a.log", "1.log", "2.log"]
    assert [source.name for source in find_sources([f"{tmp_path}/b/*"])] == ["1.log", "2.log"]


def test_standard_input_can_be_looked_at_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stdin:
        buffer = io.BytesIO(TEXT)

    monkeypatch.setattr("sys.stdin", Stdin)
    (source,) = find_sources(["-"])
    assert source.head(1_000) == TEXT[:1_000]
    with source.opened() as stream:
        assert stream.read() == TEXT


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (source,) = find_sources([str(tmp_path)])
    with pytest.raises(Unreadable, match="gone` cannot be read"):
        source.head(1)


def test_reading_ahead_changes_neither_order_nor_errors() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))

    def broken() -> Iterator[int]:
        yield 1
        raise Unreadable("no more")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(Unreadable, match="no more"):
        next(items)


def test_who_stops_listening_stops_the_reading() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    items = ahead(endless())
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert len(made) < 10
