"""What tells whoever remembers something of the database that it has changed (`retrieval/changes.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MARKED: dict[str, dict[str, tuple[str, ...]]] = {
    "identity": {
        "api_key": ("id", "user_id", "secret_sha256", "revoked_at", "scopes", "expires_at"),
        "directory": (),
        "group_nesting": (),
        "membership": (),
        "user": (),
    },
    "policies": {"policy_bundle": ()},
    "sources": {"source": ()},
}
"""Which tables each mark stands for, and of which columns a change counts where not any does."""


def upgrade() -> None:
    """Add the marks, and the triggers that change them."""
    op.create_table(
        "change_mark",
        sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1"), primary_key=True),
        *(sa.Column(mark, sa.String(), nullable=False) for mark in MARKED),
    )
    op.execute("INSERT INTO change_mark VALUES (1, hex(randomblob(8)), hex(randomblob(8)), hex(randomblob(8)))")
    for mark, tables in MARKED.items():
        for table, columns in tables.items():
            of = f" OF {', '.join(columns)}" if columns else ""
            for verb in ("INSERT", f"UPDATE{of}", "DELETE"):
                op.execute(
                    f'CREATE TRIGGER {table}_marks_{verb[:6].lower()} AFTER {verb} ON "{table}" '  # noqa: S608 - ours
                    f"BEGIN UPDATE change_mark SET {mark} = hex(randomblob(8)); END"
                )
