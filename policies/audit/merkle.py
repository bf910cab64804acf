"""Merkle trees over the entries that one checkpoint signs, so that a single entry can be proved without the others.

The trees of RFC 9162, section 2.1: leaves and nodes are hashed with different first bytes, so neither passes for the
other, and a tree of any size has one shape. Leaves are the hashes of entries.
"""

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of entries (32 bytes each), in their order."""
    level = _leaves(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else EMPTY_ROOT


def path_of(hashes: Sequence[bytes], place: int) -> list[bytes]:
    """What to combine the hash at `place` (from 0) with, from the leaf up, to get the root: RFC 9162, 2.1.3.1."""
    level, path = _leaves(hashes), []
    while len(level) > 1:
        beside = place ^ 1
        if beside < len(level):  # The last of an odd number goes up alone.
            path.append(level[beside])
        level, place = _above(level), place // 2
    return path


def root_from(hash_: bytes, place: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves in which `hash_` stands at `place` with this path: RFC 9162, 2.1.3.2.

    None when no tree of that size has such a path.
    """
    if not 0 <= place < size:
        return None
    root, last = hashlib.sha256(b"\0" + hash_).digest(), size - 1
    for beside in path:
        if last == 0:
            return None
        if place % 2 or place == last:
            root = _node(beside, root)
            while place % 2 == 0 and place:  # It went up alone so far.
                place, last = place // 2, last // 2
        else:
            root = _node(root, beside)
        place, last = place // 2, last // 2
    return root if last == 0 else None


def _leaves(hashes: Sequence[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256
    return [sha256(b"\0" + hash_).digest() for hash_ in hashes]


def _above(level: list[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256
    pairs = zip(level[::2], level[1::2], strict=False)
    alone = level[-1:] if len(level) % 2 else []
    return [sha256(b"\1" + left + right).digest() for left, right in pairs] + alone


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
