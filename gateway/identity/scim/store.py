"""What SCIM clients call users and groups, in storage. The users and memberships themselves are everybody's tables."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from retrieval.tables import utc_now


class ScimUserRow(SQLModel, table=True):
    """A user that a SCIM client made. The row of a deleted one stays, so that nobody else becomes that user."""

    __tablename__ = "scim_user"
    id: str = Field(primary_key=True)
    user_id: str = Field(unique=True, foreign_key="user.id")
    user_name: str = Field(unique=True)
    external_id: str = ""
    display_name: str = ""
    created_at: datetime = Field(default_factory=utc_now)
    modified_at: datetime = Field(default_factory=utc_now)
    deleted: bool = False


class ScimGroupRow(SQLModel, table=True):
    """A group that a SCIM client made; its name is the group's everywhere."""

    __tablename__ = "scim_group"
    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    external_id: str = ""
    created_at: datetime = Field(default_factory=utc_now)
    modified_at: datetime = Field(default_factory=utc_now)
