"""What people type, looked at before anything is done with it."""

from datetime import UTC, datetime

from gateway.errors import BadRequestError


def require_text(text: str, what: str, most_characters: int) -> None:
    """Let a question or query go on that is text, not empty, and not too long.

    Raises:
        BadRequestError: It is not; the sentence names it as `what`.
    """
    if not text.strip():
        message = f"The {what} is empty. Say what you want to know."
        raise BadRequestError(message)
    if len(text) > most_characters:
        message = f"The {what} has {len(text)} characters; at most {most_characters} are taken. Shorten it."
        raise BadRequestError(message)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # A terminal that is not set to UTF-8, or JSON with half of a surrogate pair, brings such.
        message = f"The {what} is not valid text at character {error.start + 1}. Send it as UTF-8."
        raise BadRequestError(message) from error


def in_utc(moment: datetime) -> datetime:
    """A time with a zone, as UTC.

    Raises:
        BadRequestError: In UTC it lies before the year 1 or after 9999.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = f"The time {moment.isoformat()} is out of bounds. Name one between the years 1 and 9999 in UTC."
        raise BadRequestError(message) from error
