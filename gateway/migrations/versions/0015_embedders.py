"""Vectors of several embedders side by side, and which of them is in use (`retrieval/embeddings.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the tables. Vectors of before name no embedder: they are of the one that was in use."""
    op.add_column("passage", sa.Column("embedder", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "embedder_use",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("current", sa.String(), nullable=False),
        sa.Column("original", sa.String(), nullable=False),
        sa.Column("switched_at", sa.DateTime(), nullable=False),
    )
    op.create_table(
        "passage_vector",
        sa.Column("passage_id", sa.Integer(), sa.ForeignKey("passage.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("embedder", sa.String(), primary_key=True),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
    )
