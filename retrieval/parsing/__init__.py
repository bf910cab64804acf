"""Bytes to text with structure: one module per format, one function for all of them."""

from retrieval.parsing.document import Block as Block
from retrieval.parsing.document import BlockKind as BlockKind
from retrieval.parsing.document import ParsedDocument as ParsedDocument
from retrieval.parsing.errors import UnparsableError as UnparsableError
from retrieval.parsing.errors import UnparsableNowError as UnparsableNowError
from retrieval.parsing.isolated import IsolatedParser as IsolatedParser
from retrieval.parsing.parser import Parser as Parser
from retrieval.parsing.parser import parse as parse
