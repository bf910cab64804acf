"""What may leave in an answer's text, whatever the model was talked into: words, and no way to fetch anything.

Deterministic, and applied after personal data has been dealt with. Links, images and HTML are never made by the model:
citations carry the links, and they come from the documents themselves.
"""

import re

_IMAGE_OR_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)?|\[[^\]]*\])")
_REFERENCE = re.compile(r"^[ \t]*\[[^\]]+\]:.*$", re.MULTILINE)
_WORD = re.compile(r"[^\s<>\"')\]]+")
# Whatever has two slashes after a colon or at its beginning, a name of the web, or one of the schemes that a program
# acts on without slashes. It may stand anywhere in a word: `Source:https://...` and `see:javascript:...` are links too.
_FETCHES = re.compile(
    r"://|(?:^|[^\w])//\w|\\\\\w|(?:^|[^\w])www\.\w|(?:^|[^\w.])(?:https?|ftp|file|data|javascript|vbscript|mailto|tel|sms|wss?"
    r"|blob|ms-[a-z-]+|x-[a-z-]+|intent|about|view-source|urn|magnet|ssh|git|ldaps?|smb|nfs|sip):\S",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[/!?]?[a-zA-Z][^>]*>?|<!--.*?(?:-->|$)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
REMOVED_LINK = "[link removed]"


def clean(text: str) -> str:
    """Take out HTML, images, links, bare addresses, reference definitions and invisible characters."""
    text = _CONTROL.sub("", text)
    previous = None
    while previous != text:  # Taking one thing out may put another together.
        previous = text
        text = _REFERENCE.sub("", _TAG.sub("", text))
        text = _IMAGE_OR_LINK.sub(lambda match: match[1], text)
    return _WORD.sub(lambda match: REMOVED_LINK if _FETCHES.search(match[0]) else match[0], text).strip()
