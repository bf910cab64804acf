"""The settings of looking for personal data."""

from typing import Annotated

import msgspec

from policies.personal_data import MentionType, Sensitivity


class TypeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of personal data of a site's own: found by a pattern, by words, or both.

    `words_file` is a file with a word or phrase on each line, in the home folder or a whole path. With a `checksum`
    (`policies/redaction/checksums.py`), only values of the pattern that pass it count; with `context`, only those near
    one of its words. `score` is how sure a find is, which is told and decides nothing.
    """

    name: str
    pattern: str = ""
    words: tuple[str, ...] = ()
    words_file: str = ""
    checksum: str = ""
    context: tuple[str, ...] = ()
    sensitivity: Sensitivity = Sensitivity.SEALED
    score: float = 0.8


class RedactionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A site's own words and kinds, and how many processes look for personal data with how much processor time.

    `clear_words` are names of products and the like, which are never taken for people. One of the `workers` is always
    left for questions unless there is only one. `cpu_seconds` is for each 65,536 characters begun, and a text that
    takes longer is refused: prose of any kind was seen to take 0.1 to 1.5 s on an idle core, and takes more where cores
    are shared. `also` names kinds that are masked though they are no personal data by policy.
    """

    also: tuple[MentionType, ...] = ()
    clear_words: tuple[str, ...] = ()
    types: tuple[TypeOptions, ...] = ()
    workers: Annotated[int, msgspec.Meta(ge=1)] = 2
    cpu_seconds: Annotated[float, msgspec.Meta(gt=0)] = 6.0
