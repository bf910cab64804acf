"""What can go wrong while reading a source: one type per thing the caller should do next."""


class ConnectorError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class ConfigurationError(ConnectorError):
    """The source is configured wrongly: the operator corrects the setting the text names."""


class SourceUnavailableError(ConnectorError):
    """The source cannot be reached now: retry later."""


class AccessUnreadableError(ConnectorError):
    """Who may read cannot be told: the whole run fails, since guessing would show documents to the wrong people."""
