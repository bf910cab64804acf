"""Numbers of entries as people write them: `1-500`, `502`."""

from collections.abc import Iterable


def ranges_of(ids: Iterable[int]) -> tuple[str, ...]:
    """The numbers, in ranges as few as can be."""
    found: list[tuple[int, int]] = []
    for id_ in sorted(ids):
        if found and id_ == found[-1][1] + 1:
            found[-1] = found[-1][0], id_
        else:
            found.append((id_, id_))
    return tuple(f"{first}-{last}" if last > first else f"{first}" for first, last in found)


def ids_of(ranges: Iterable[str], last_id: int) -> set[int]:
    """The numbers that `ranges_of` wrote, up to the last entry there is: a forged range must not fill the memory.

    Raises:
        ValueError: A text is no range.
    """
    ids: set[int] = set()
    for text in ranges:
        first, last = ends_of(text)
        ids.update(range(max(first, 0), min(last, last_id) + 1))
    return ids


def ends_of(text: str) -> tuple[int, int]:
    """The first and the last number of a range.

    Raises:
        ValueError: The text is no range.
    """
    first, _, last = text.partition("-")
    return int(first), int(last or first)
