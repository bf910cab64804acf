"""Turns as the messages of a chat completion: content alone, no template and no domain.

The server puts its own template around them and may read control tokens out of content, which we cannot keep it from
(llama.cpp's and vLLM's chat templates are rendered to text before they are tokenised). So what is spelt like one is
broken by a space; that is a filter over known spellings and no proof, other than with our own worker.
"""

import math
import re
from collections.abc import Sequence

from models.engine import Turn

Message = dict[str, str]

# <|im_end|> and its like, with DeepSeek's wide bars; </s>, <eos> and reserved ones; Gemma's turns; byte tokens.
_CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?(?:s|bos|eos|pad|unk|mask|sep|cls|sys|think|tool_call|tool_response|start_of_turn|end_of_turn"
    r"|start_of_image|end_of_image|image_soft_token|reserved_\w{1,40}|unused\d{1,6}|extra_id_\d{1,6}|fim_\w{1,40}"
    r"|0x[0-9a-f]{2})>|<SYS>>|</SYS>>)"
    r"|[|\uff5c](?=>)|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG|PREFIX|SUFFIX|MIDDLE)\])",
    re.IGNORECASE,
)
_LETTERS_PER_TOKEN = 3
_TEMPLATE_TOKENS = 8
"""What a template puts around a message."""
# A space belongs to the word behind it, which three letters to a token leave room for.
_COUNTED = re.compile(r" ?[A-Z]?[a-z]+| ?[A-Z]+| +|[\x00-\x7f]|[^\x00-\x7f]")
_TWO_BYTES = 0x7FF


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """What is sent of a conversation."""
    return [{"role": turn.speaker.value, "content": without_controls("".join(turn.parts))} for turn in turns]


def without_controls(text: str) -> str:
    """The text with a space in each sign sequence that some model's template takes for a control token."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", text)


def most_tokens(text: str) -> int:
    """An estimate that errs high of how many tokens a text takes, whatever the model's vocabulary.

    Three letters of English to a token, each other sign for itself, two tokens for one beyond the first alphabets. Held
    to the vocabulary of Qwen2.5 on a handbook it is never low; on prose it is about half more than there are.
    """
    return sum(map(_tokens, _COUNTED.findall(text)))


def most_prompt_tokens(turns: Sequence[Turn]) -> int:
    """The same for a whole prompt, its template included."""
    return sum(most_tokens("".join(turn.parts)) + _TEMPLATE_TOKENS for turn in turns)


def _tokens(piece: str) -> int:
    if piece.isascii():
        return max(1, math.ceil(len(piece.strip(" ")) / _LETTERS_PER_TOKEN))
    return 1 if ord(piece) <= _TWO_BYTES else 2
