"""What may leave in an answer's text, whatever the model was talked into: words, and no way to fetch anything.

Deterministic, and applied after personal data has been dealt with. Links, images and HTML are never made by the model:
citations carry the links, and they come from the documents themselves.
"""

import re

_IMAGE_OR_LINK = re.compile(r"!?\[([^\]\n]*)\](?:\([^)\n]*\)?|\[[^\]\n]*\])")
_REFERENCE = re.compile(r"^[ \t]*\[[^\]\n]+\]:.*$", re.MULTILINE)
_URL = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,20}:|//|\\\\)(?:/{0,3})[^\s<>\"')\]]{2,}|\bwww\.[^\s<>\"')\]]+", re.IGNORECASE
)
_SCHEME = re.compile(
    r"^(?:https?|ftp|file|data|javascript|vbscript|mailto|ws|wss|blob)?:|^//|^www\.|^\\\\", re.IGNORECASE
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
    return _URL.sub(lambda match: REMOVED_LINK if _SCHEME.match(match[0]) else match[0], text).strip()
