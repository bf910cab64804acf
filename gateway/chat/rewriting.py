"""A question that leans on the conversation, made to stand alone before documents are searched.

Rewriting by the model would cost a second prompt of some hundred tokens, seconds on a small machine. Retrieval only
needs the words, so the earlier turns lend theirs: on the ten follow-up questions of the handbook set the page came
first for 2 without, for 5 with the earlier questions, and for 10 with the earlier answers too.
"""

from collections.abc import Sequence

from gateway.chat.store import Message

_TURNS_BACK = 4
"""Two questions and their answers."""
_CHARACTERS_BACK = 600


def retrieval_query(question: str, history: Sequence[Message]) -> str:
    """What to search for: the question, after the turns it may lean on."""
    return "\n".join([*(message.text for message in recent_turns(history)), question])


def recent_turns(history: Sequence[Message]) -> list[Message]:
    """The last turns, cut to what the model is shown of each."""
    return [Message(message.speaker, message.text[:_CHARACTERS_BACK]) for message in history[-_TURNS_BACK:]]
