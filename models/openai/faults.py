"""What can go wrong with one try at one server, and what that means for the next one.

A fault never holds anything that the server sent: that may be the prompt.
"""


class TryFailedError(Exception):
    """One try failed; `str` is what the model did, to be said after its name.

    Attributes:
        status: The HTTP status, where there was one.
        again: Whether another try may do better.
        counts: Whether it speaks against the server, and not only against the question.
        wait: How many seconds the server asks to be left alone.
    """

    def __init__(
        self, what: str, *, status: int = 0, again: bool = True, counts: bool = True, wait: float = 0.0
    ) -> None:
        super().__init__(what)
        self.status = status
        self.again = again
        self.counts = counts
        self.wait = wait


class PromptRefusedError(TryFailedError):
    """The server says that the prompt is too long for its model."""

    def __init__(self, status: int) -> None:
        super().__init__("finds the prompt too long", status=status, again=False, counts=False)


class PassedError(Exception):
    """A server refused in a way that its caller deals with; nothing speaks against the server."""
