"""Options that several commands share."""

from typing import Annotated

import typer

AsUser = Annotated[
    str,
    typer.Option(
        "--as", metavar="USER", help="Whose rights apply. The audit trail also names your operating-system user."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("-k", "--limit", min=1, help="How many at most.")]
