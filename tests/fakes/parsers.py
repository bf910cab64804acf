"""Parsing in this process, for tests of something else: starting another takes a second."""

from contextlib import AbstractContextManager, nullcontext

from retrieval.parsing import ParsedDocument, Parser, parse


class ParserHere:
    """The same functions, without a process around them."""

    def parse(self, content: bytes, media_type: str, path: str) -> ParsedDocument:
        return parse(content, media_type, path)


def parser_here() -> AbstractContextManager[Parser]:
    """What `Ingestion` takes as `new_parser`."""
    return nullcontext(ParserHere())
