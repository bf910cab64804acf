"""The tokens of a passage, for late interaction."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Nothing is known of the passages there are; the next sync reads every document anew."""
    op.add_column("passage", sa.Column("tokens", sa.LargeBinary(), nullable=True))
