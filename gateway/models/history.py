"""Which model worked when, and why it was changed. Rows are only ever added; who did it is the trail's token."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, col, select

from models.catalogue import Kind
from retrieval.sessions import writing
from retrieval.tables import utc_now


class Cause(StrEnum):
    """Why another model works."""

    FORCED = "forced"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    SELECTED = "selected"
    TRIAL_ENDED = "trial-ended"


class ModelChangeRow(SQLModel, table=True):
    """A change of the model that works as `kind`; of one on trial, `trial` says on which and how."""

    __tablename__ = "model_change"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now)
    kind: str
    model: str
    sha256: str
    previous: str
    by_token: str
    cause: str
    reason: str = ""
    report: str = ""
    trial: str = ""


class History:
    """The changes of one installation."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def add(self, row: ModelChangeRow) -> None:
        """Add a change; it is durable when this returns."""
        with writing(self._database) as session:
            session.add(row)
            session.commit()

    def listed(self) -> list[ModelChangeRow]:
        """All changes, newest first."""
        with Session(self._database) as session:
            rows = list(session.exec(select(ModelChangeRow).order_by(col(ModelChangeRow.id).desc())))
            session.expunge_all()
            return rows

    def before(self, kind: Kind, model: str) -> str | None:
        """Which model worked before this one was put to use; none where that is not known.

        Going back leads on to what was before that, and never forth again to what was given up.
        """
        forth = {Cause.FORCED, Cause.PROMOTED, Cause.SELECTED}
        for row in self.listed():
            if row.kind == kind and row.model == model and row.cause in forth and row.previous != model:
                return row.previous
        return None

    def trial_ended(self, trial: str) -> ModelChangeRow | None:
        """The end of a trial; none while it goes on."""
        with Session(self._database) as session:
            query = select(ModelChangeRow).where(ModelChangeRow.trial == trial)
            row = session.exec(query.order_by(col(ModelChangeRow.id).desc())).first()
            session.expunge_all()
            return row
