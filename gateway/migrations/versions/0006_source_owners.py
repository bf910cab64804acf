"""Who owns a source, and why its last run broke off."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of owners, which go with their source, and two columns of sources."""
    with op.batch_alter_table("source") as source:
        source.add_column(sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True))
        source.add_column(sa.Column("failure", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "source_owner",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["source.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source", "kind", "name"),
    )
