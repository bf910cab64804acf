"""What is odd about a passage, and which of these are found all the same."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Nothing is known of the passages there are; the next sync reads every document anew."""
    op.add_column("passage", sa.Column("flags", sa.String(), nullable=False, server_default=""))
    op.add_column("passage", sa.Column("released", sa.Boolean(), nullable=False, server_default=sa.false()))
