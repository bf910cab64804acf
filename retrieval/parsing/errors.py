"""What can go wrong while parsing: there is one next action, to skip the document and show the reason."""

from retrieval.errors import RetrievalError


class UnparsableError(RetrievalError):
    """A document cannot be turned into text; the text is a sentence for its owner, without the document's content."""


class UnparsableNowError(UnparsableError):
    """Parsing was broken off by something that may pass: the next sync tries again."""
