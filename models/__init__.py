"""Language models and embeddings: which there are, getting them, and asking them."""

from models.catalogue import Artefact, Catalogue, Kind, load_catalogue
from models.embedder import Embedder
from models.engine import (
    Choice,
    Chunk,
    Engine,
    EngineHealth,
    FinishReason,
    Generation,
    Speaker,
    Turn,
)
from models.errors import (
    CatalogueError,
    EngineUnavailableError,
    ModelCorruptError,
    ModelMissingError,
    ModelsError,
    PromptTooLongError,
    PullFailedError,
)
from models.fetching import pull
from models.llama.engine import LlamaEngine
from models.store import ModelStore, StoredModel, default_folder

__all__ = [
    "Artefact",
    "Catalogue",
    "CatalogueError",
    "Choice",
    "Chunk",
    "Embedder",
    "Engine",
    "EngineHealth",
    "EngineUnavailableError",
    "FinishReason",
    "Generation",
    "Kind",
    "LlamaEngine",
    "ModelCorruptError",
    "ModelMissingError",
    "ModelStore",
    "ModelsError",
    "PromptTooLongError",
    "PullFailedError",
    "Speaker",
    "StoredModel",
    "Turn",
    "default_folder",
    "load_catalogue",
    "pull",
]
