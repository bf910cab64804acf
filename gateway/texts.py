"""What people type, looked at before anything is done with it."""

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
