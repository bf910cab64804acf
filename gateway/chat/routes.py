"""Questions in OpenAI's form, and the asker's own conversations."""

import asyncio
import time
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from gateway.chat import openai
from gateway.chat.admission import Admission
from gateway.chat.store import Message
from gateway.chat.streaming import EVENT_STREAM_HEADERS, HEARTBEAT_SECONDS, event_stream, give_up, wait_for_answer
from gateway.http_errors import error_responses
from gateway.recording import new_request_id
from gateway.requests import request_id
from gateway.services import Services
from policies.actions import Action
from policies.audit.events import ConversationRead
from policies.context import RequestContext
from policies.principals import Principal

_CLIENT_GONE = 499
"""What others use for a response that nobody is there to read; it is seen in the metrics alone."""


class ConversationSummary(msgspec.Struct, frozen=True):
    """A conversation in a list."""

    id: str
    created_at: datetime


class ConversationList(msgspec.Struct, frozen=True):
    """The caller's conversations, newest first."""

    conversations: list[ConversationSummary]


class ConversationDetail(msgspec.Struct, frozen=True):
    """A conversation's turns."""

    id: str
    messages: list[Message]


@post(
    "/v1/chat/completions",
    opt={"action": Action.CHAT_ASK},
    status_code=200,
    tags=["chat"],
    responses={
        200: ResponseSpec(openai.Completion, generate_examples=False),
        **error_responses(404, 409, 410, 413, 429),
    },
)
async def complete(
    request: Request[Any, Any, Any],
    data: JSONBody[openai.CompletionRequest],
    services: NamedDependency[Services],
    principal: NamedDependency[Principal],
    context: NamedDependency[RequestContext],
    admission: NamedDependency[Admission],
) -> Response[Any]:
    """Answer a question from the documents that the caller may read.

    With `stream`, the answer comes as server-sent events once it has been checked and recorded; comments keep the
    connection open until then.
    """
    services.served.named(data.model)
    question = openai.read_question(data, principal, context)
    id_, created = f"chatcmpl-{request_id(request.scope)}", int(time.time())
    asking = asyncio.create_task(admission.ask(question))
    if not await wait_for_answer(request, asking, HEARTBEAT_SECONDS if data.stream else None):
        return Response(None, status_code=_CLIENT_GONE)
    if not data.stream or (asking.done() and asking.exception()):
        return Response(openai.completion(asking.result(), id_, created))
    usage = data.stream_options is not None and data.stream_options.include_usage
    events = event_stream(
        asking,
        lambda answer: openai.chunks(answer, id_, created, include_usage=usage),
        request_id(request.scope),
        HEARTBEAT_SECONDS,
    )
    # The task after the response ends the work also where the caller left before the stream began.
    after = BackgroundTask(give_up, asking)
    return Stream(events, media_type="text/event-stream", headers=EVENT_STREAM_HEADERS, background=after)


@get("/v1/models", opt={"action": Action.MODELS_LIST}, tags=["chat"], responses=error_responses(), sync_to_thread=False)
def list_models(services: NamedDependency[Services]) -> openai.ModelList:
    """List the model names that a question may give; `muniment` stands for whichever is in use."""
    return openai.ModelList([openai.Model(name) for name in services.served.names])


@get(
    "/v1/models/{name:str}",
    opt={"action": Action.MODELS_LIST},
    tags=["chat"],
    responses=error_responses(404),
    sync_to_thread=False,
)
def show_model(services: NamedDependency[Services], name: FromPath[str]) -> openai.Model:
    """Show one of the models."""
    services.served.named(name)
    return openai.Model(name)


@get(
    "/api/v1/conversations",
    opt={"action": Action.CONVERSATIONS_READ},
    tags=["conversations"],
    responses=error_responses(),
    sync_to_thread=True,
)
def list_conversations(services: NamedDependency[Services], principal: NamedDependency[Principal]) -> ConversationList:
    """List the caller's own conversations, newest first."""
    listed = services.conversations.listed(principal.id)
    return ConversationList([ConversationSummary(id_, created_at) for id_, created_at in listed])


@get(
    "/api/v1/conversations/{conversation_id:str}",
    opt={"action": Action.CONVERSATIONS_READ},
    tags=["conversations"],
    responses=error_responses(404, 410),
    sync_to_thread=True,
)
def show_conversation(
    services: NamedDependency[Services], principal: NamedDependency[Principal], conversation_id: FromPath[str]
) -> ConversationDetail:
    """Show the turns of one of the caller's own conversations; anyone else's looks like none."""
    conversation = services.conversations.open(principal.id, conversation_id)
    read = ConversationRead(new_request_id(), principal.id, conversation.id, len(conversation.messages))
    services.recorder.record_now(read)
    return ConversationDetail(conversation.id, list(conversation.messages))
