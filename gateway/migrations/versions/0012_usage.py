"""What was used: totals by day, person and model; how limits stand; what is reserved of them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COUNTED = (
    "answered",
    "abstained",
    "failed",
    "refused",
    "unpriced",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "checks",
    "compute_ms",
    "cost_billionths",
)


def upgrade() -> None:
    """Add the three tables."""
    op.create_table(
        "usage",
        sa.Column("day", sa.String(), primary_key=True),
        sa.Column("token", sa.String(), primary_key=True),
        sa.Column("model", sa.String(), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED),
    )
    op.create_table(
        "usage_count",
        sa.Column("limit", sa.String(), primary_key=True),
        sa.Column("token", sa.String(), primary_key=True),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "usage_reservation",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("limit", sa.String(), primary_key=True),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_usage_reservation_limit", "usage_reservation", ["limit", "token"])
