"""Vectors over HTTP, in OpenAI's form."""

import asyncio

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gateway.admission import Places
from gateway.embeddings.schemas import Embeddings, EmbeddingsRequest, embeddings
from gateway.errors import BadRequestError, ModelNotFoundError
from gateway.health.service import Readiness
from gateway.http_errors import error_responses
from gateway.models.served import MODEL_ALIAS
from gateway.recording import new_request_id
from gateway.services import Services
from models.embedder import Embedder, Vectors
from policies.actions import Action
from policies.audit.events import EmbeddingsMade
from policies.context import RequestContext
from policies.principals import Principal


@post(
    "/v1/embeddings",
    opt={"action": Action.EMBEDDINGS_MAKE},
    status_code=200,
    tags=["chat"],
    responses=error_responses(404, 413, 429),
)
async def embed(
    data: JSONBody[EmbeddingsRequest],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    readiness: NamedDependency[Readiness],
    search_places: NamedDependency[Places],
) -> Embeddings:
    """Make vectors of texts, as searches do with questions. `muniment` stands for the embedder in use."""
    readiness.require()
    name = services.config.models.embedder
    if data.model not in (MODEL_ALIAS, name):
        message = f"{data.model[:80]!r} makes no vectors here. Name {name}, or {MODEL_ALIAS}."
        raise ModelNotFoundError(message)
    if data.dimensions not in (None, services.embedder.dimensions):
        message = f"Vectors of {name} have {services.embedder.dimensions} dimensions. Ask for these, or name none."
        raise BadRequestError(message)
    with search_places.taken(principal.id):
        vectors, tokens = await asyncio.to_thread(_make, services.embedder, data.texts)
    made = EmbeddingsMade(
        request=new_request_id(),
        principal=principal.id,
        channel=context.channel.value,
        network=context.network,
        model=name,
        texts=len(data.texts),
        tokens=tokens,
    )
    await services.recorder.durable(services.recorder.submit(made))
    return embeddings(vectors, name, tokens, data.encoding_format)


def _make(embedder: Embedder, texts: list[str]) -> tuple[Vectors, int]:
    return embedder.embed(texts), sum(min(embedder.count_tokens(text), embedder.max_tokens) for text in texts)
