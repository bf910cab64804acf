"""The settings of looking for personal data."""

from typing import Annotated

import msgspec


class RedactionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many processes look for personal data, and how much processor time a text may take them.

    One is always left for questions unless there is only one. `cpu_seconds` is for each 65,536 characters begun, and a
    text that takes longer is refused: ordinary prose takes 0.7 s, hostile text up to 1.9 s (measured on the machine of
    `benchmarks/results/redaction.json`).
    """

    workers: Annotated[int, msgspec.Meta(ge=1)] = 2
    cpu_seconds: Annotated[float, msgspec.Meta(gt=0)] = 2.0
