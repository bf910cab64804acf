"""What can go wrong with retrieval: one type per thing the caller should do next."""


class RetrievalError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class IndexUnusableError(RetrievalError):
    """The index cannot be used and cannot be rebuilt: the operator follows the text; nothing is searched meanwhile."""


class IndexUnsafeError(RetrievalError):
    """The index found in its test what it must not find: the operator follows the text; nothing is searched."""


class SyncBusyError(RetrievalError):
    """Another run is reading this source: wait for it to end, then sync again."""


class SyncFailedError(RetrievalError):
    """A source could not be read to its end: what was committed stands; sync again once the cause is mended."""
