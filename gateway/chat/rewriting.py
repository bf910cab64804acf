"""A question that leans on the conversation, made to stand alone before documents are searched.

Rewriting by the model would cost a second prompt of some hundred tokens, seconds on a small machine. Retrieval only
needs the words, so the earlier turns lend theirs (on the ten follow-up questions of the handbook set the page came first
for 2 without, 5 with the earlier questions, and 10 with the earlier answers too).
"""

from collections.abc import Sequence

from gateway.chat.store import Message

_TURNS_BACK = 4
"""Two questions and their answers."""
_CHARACTERS_BACK = 600


def retrieval_query(question: str, history: Sequence[Message]) -> str:
    """What to search for: the question, after the turns it may lean on."""
    return "\n".join([*(message.text[:_CHARACTERS_BACK] for message in _last(history)), question])


def spoken_history(history: Sequence[Message]) -> str:
    """The last turns as the model reads them, before personal data is replaced."""
    return "\n".join(f"{message.speaker.capitalize()}: {message.text[:_CHARACTERS_BACK]}" for message in _last(history))


def _last(history: Sequence[Message]) -> Sequence[Message]:
    return history[-_TURNS_BACK:]
