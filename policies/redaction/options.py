"""What a site's settings may say of redaction: words that are no people, and kinds of personal data of its own."""

import msgspec

from policies.personal_data import Sensitivity


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
    """A site's own: `clear_words` are names of products and the like, which are never taken for people."""

    clear_words: tuple[str, ...] = ()
    types: tuple[TypeOptions, ...] = ()
