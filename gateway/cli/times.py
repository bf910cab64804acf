"""Times as people write them on a command line."""

from datetime import UTC, datetime

from gateway.errors import BadRequestError
from gateway.texts import in_utc


def read_time(text: str | None) -> datetime | None:
    """A time; without a zone it is UTC.

    Raises:
        BadRequestError: The text is none.
    """
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time. Write 2026-11-24 or 2026-11-24T09:30."
        raise BadRequestError(message) from error
    return in_utc(given if given.tzinfo else given.replace(tzinfo=UTC))
