"""What an operator may set about finding passages."""

from typing import Annotated

import msgspec

from retrieval.flags import QUARANTINED, Flag


class RetrievalOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which passages are not found, how many one author may have in a result, and how they are ordered.

    Passages with one of the flags of `quarantine` are neither found nor given to the model. Where others have something
    to say too, at most `author_share` of the passages of a result are of one author; 1 sets no limit. `rerank` orders
    what was found once more, by how the single words of a question are met.
    """

    quarantine: tuple[Flag, ...] = QUARANTINED
    author_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    rerank: bool = True
