"""Where sealed personal data stands in a document's path."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Nothing is known of the paths there are; the next sync reads every document anew."""
    op.add_column("document", sa.Column("path_spans", sa.String(), nullable=False, server_default="[]"))
