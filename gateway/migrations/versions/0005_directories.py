"""Where users and memberships come from, groups within groups, and what directories said."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give users a kind and an origin, memberships an origin, and make the tables of directories."""
    op.add_column("user", sa.Column("kind", sa.String(), nullable=False, server_default="user"))
    op.add_column("user", sa.Column("origin", sa.String(), nullable=False, server_default="local"))
    op.add_column("user", sa.Column("disabled_by", sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE \"user\" SET disabled_by = 'local' WHERE NOT active")
    op.create_table(
        "membership_with_origin",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("user_id", "group", "origin"),
    )
    op.execute(
        'INSERT INTO membership_with_origin (user_id, "group", origin) '
        "SELECT user_id, \"group\", 'local' FROM membership"
    )
    op.drop_table("membership")
    op.rename_table("membership_with_origin", "membership")
    op.create_table(
        "group_nesting",
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("group", "parent", "origin"),
    )
    op.create_table(
        "directory",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("origin"),
    )
    op.create_table(
        "ldap_user",
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("user_id"),
    )
    op.create_table(
        "scim_user",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id"),
        sa.UniqueConstraint("user_name"),
    )
    op.create_table(
        "scim_group",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
