"""Labels name their source, passages have labels of their own, and permissions have an age."""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and give every label the source whose documents have it."""
    with op.batch_alter_table("source") as source:
        source.add_column(sa.Column("max_acl_age_seconds", sa.Integer(), nullable=False, server_default="0"))
        source.add_column(sa.Column("access_read_at", sa.DateTime(timezone=True), nullable=True))
        source.add_column(sa.Column("read_with", sa.String(), nullable=False, server_default=""))
    with op.batch_alter_table("passage") as passage:
        passage.add_column(sa.Column("label_id", sa.Integer(), nullable=False, server_default="0"))
        passage.add_column(sa.Column("parts", sa.String(), nullable=False, server_default=""))
    _name_sources()
    # The index kept for the next start knows the old numbers: another state makes it be built anew.
    op.execute("UPDATE corpus SET epoch = epoch + 1, stamp = lower(hex(randomblob(8)))")
    op.execute("UPDATE passage SET label_id = (SELECT label_id FROM document WHERE document.id = passage.document_id)")
    with op.batch_alter_table("passage") as passage:
        passage.create_foreign_key("fk_passage_label_id_label", "label", ["label_id"], ["id"])
        passage.alter_column("label_id", server_default=None)
        passage.alter_column("parts", server_default=None)
    with op.batch_alter_table("source") as source:
        source.alter_column("max_acl_age_seconds", server_default=None)
        source.alter_column("read_with", server_default=None)


def _name_sources() -> None:
    """One label for each source that used it, in the form `policies/labels.py` writes; the old ones go."""
    connection = op.get_bind()
    used = connection.execute(sa.text("SELECT DISTINCT source, label_id FROM document")).all()
    old = {id_: json.loads(text) for id_, text in connection.execute(sa.text("SELECT id, canonical FROM label"))}
    for source, label_id in used:
        number = _store(connection, old[label_id] | {"source": source, "within": None})
        connection.execute(
            sa.text("UPDATE document SET label_id = :new WHERE source = :source AND label_id = :old"),
            {"new": number, "source": source, "old": label_id},
        )
    for id_ in old:
        connection.execute(sa.text("DELETE FROM label WHERE id = :id"), {"id": id_})


def _store(connection: sa.Connection, fields: dict[str, Any]) -> int:
    canonical = json.dumps(fields, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    connection.execute(
        sa.text("INSERT INTO label (digest, canonical) VALUES (:digest, :canonical)"),
        {"digest": digest, "canonical": canonical},
    )
    return int(connection.execute(sa.text("SELECT id FROM label WHERE digest = :d"), {"d": digest}).scalar_one())
