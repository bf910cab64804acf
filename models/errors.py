"""What can go wrong with models: one type per thing the caller should do next."""


class ModelsError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class CatalogueError(ModelsError):
    """The catalogue is malformed or does not hold the named model: the operator corrects it."""


class ModelMissingError(ModelsError):
    """A model is not on this machine: the operator runs the `muniment models pull` the text names."""


class ModelCorruptError(ModelsError):
    """A model's bytes are not the publisher's: it is never loaded; the operator pulls it again."""


class PullFailedError(ModelsError):
    """A model could not be fetched: nothing half done remains in use; the text says what to do."""


class EngineUnavailableError(ModelsError):
    """The model's worker is gone or cannot start: this answer fails; retry in a moment."""


class PromptTooLongError(ModelsError):
    """The prompt does not fit the model's context: the caller shortens it."""
