"""An entry is proved to be in a tree by its path, and nothing else is."""

import hashlib
import random

import pytest

from policies.audit.merkle import EMPTY_ROOT, path_of, root_from, root_of

SIZES = [*range(1, 35), 63, 64, 65, 100]


def some(count: int) -> list[bytes]:
    return [random.Random(place).randbytes(32) for place in range(count)]


def head(hashes: list[bytes]) -> bytes:
    """The recursive definition of RFC 9162, section 2.1.1."""
    if len(hashes) < 2:
        return hashlib.sha256(b"".join(b"\0" + hash_ for hash_ in hashes)).digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + head(hashes[:split]) + head(hashes[split:])).digest()


def test_roots_are_those_of_the_definition() -> None:
    assert root_of([]) == EMPTY_ROOT
    for size in SIZES:
        assert root_of(some(size)) == head(some(size))


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_is_proved_at_its_place(size: int) -> None:
    hashes = some(size)
    root = root_of(hashes)
    for place, hash_ in enumerate(hashes):
        assert root_from(hash_, place, size, path_of(hashes, place)) == root


@pytest.mark.parametrize("size", SIZES)
def test_no_other_entry_place_or_path_is(size: int) -> None:
    hashes, draw = some(size), random.Random(size)
    root = root_of(hashes)
    for place, hash_ in enumerate(hashes):
        path = path_of(hashes, place)
        at = draw.randrange(len(path)) if path else 0
        altered = [*path[:at], bytes(32), *path[at + 1 :]]
        forged = [
            (bytes(32), place, size, path),
            (hash_, place, size, [*path, root]),
            (hash_, place, size, [root, *path]),
            (hash_, -1, size, path),
            (hash_, size, size, path),
            (hash_, place, size, altered if path else [bytes(32)]),
            *([(hash_, place, size, path[:-1]), (hash_, place ^ 1, size, path)] if path else []),
        ]
        for one in forged:
            assert root_from(*one) != root


def test_a_node_does_not_pass_for_an_entry() -> None:
    """Without the first bytes, a tree of two nodes would be one of two leaves."""
    hashes = some(4)
    nodes = [root_of(hashes[:2]), root_of(hashes[2:])]
    assert root_of(nodes) != root_of(hashes)


def test_a_root_is_pinned() -> None:
    """A trail written by one version must verify with every later one."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    made = root_of([bytes(32), b"\1" * 32, b"\2" * 32])
    assert made.hex() == "ba8d94b7fbcecae7b81c4c80574fe24734a6917bf9c1ecd66ff3e0c34ead4620"
