"""User names: after what they are called, and in links to profiles of people.

`@name` alone is not enough: packages, teams and code carry the sign too.
"""

import re

from policies.personal_data import EntityType
from policies.redaction.rules import Rule

_HANDLE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{1,38}[A-Za-z0-9_])"
_PLACES = "twitter|instagram|telegram|tiktok|mastodon|bluesky|snapchat|skype|github|gitlab|linkedin|reddit|x"
# What documentation and forms write after the label instead of a name.
_PLACEHOLDER = re.compile(
    r"(?:your|my|the|an?|and|or|is|are|was|must|should|can|will|for|in|on|of|to|not|with|from|field|name|user(?:name)?"
    r"|\w*-?admin"
    r"|root|postgres|git|ubuntu|ec2-user|service[\w-]*|none|null|string|required|optional|example|password|e-?mail|policy|format|column|value|here|test|guest"
    r"|support"
    r"|info|that|this|when|if|as|by|at|has|does|he|she|they|you|we|it)",
    re.IGNORECASE,
)


def _is_handle(value: str) -> bool:
    return not _PLACEHOLDER.fullmatch(value.strip("@")) and not value.isdecimal()


RULES = (
    Rule(
        "user name, named",
        EntityType.IDENTIFIER,
        re.compile(
            r"(?i:\b(?:user[ _-]?name|user[ _-]?id|login(?: name)?|screen[ _-]?name|nick(?:name)?|account name"
            r"|benutzername"
            r"|nom d'utilisateur|nombre de usuario|nome utente|gebruikersnaam))[\"'`*]{0,2}(?:\s?[:=]\s?|\s(?i:is"
            r"|was)\s)"
            rf"[\"'`]?(?P<value>@?{_HANDLE})(?![\w(@.-]*[(@])"
        ),
        0.7,
        _is_handle,
    ),
    Rule(
        "user of a system",
        EntityType.IDENTIFIER,
        re.compile(
            r"\b(?:[Uu]ser(?:name)?|(?:logged|signed) (?:in|on) as)\s"
            r"(?P<value>(?=[a-z._-]{0,20}\d)[a-z][a-z0-9._-]{3,30}[a-z0-9])(?![\w(@./-])"
        ),
        0.5,
        _is_handle,
    ),
    Rule(
        "handle, named",
        EntityType.IDENTIFIER,
        re.compile(
            rf"(?i:\b(?:handles?|{_PLACES})(?:\s(?:handle|account|profile|user(?:name)?|id))?(?:\s?(?::|is|as|-)"
            rf"|,)?)\s{{0,2}}"
            rf"[\"'`(]?(?P<value>@{_HANDLE})(?![\w/@-])"
        ),
        0.7,
        _is_handle,
    ),
)
"""Rules for text that `HINTS` finds something in."""

_OF_THE_PLACE = re.compile(
    r"(?:about|help|home|login|signup|share|sharer|intent|search|explore|hashtag|privacy|legal|terms|i|p|reel|groups"
    r"|events"
    r"|pages|watch|settings|company|jobs|tag|search\.html|sharer\.php|status|web|policies)",
    re.IGNORECASE,
)
PROFILES = (
    Rule(
        "profile of a person",
        EntityType.IDENTIFIER,
        re.compile(
            r"(?<![\w-])(?i:linkedin\.com/in/|(?:twitter|x|instagram|tiktok|threads|medium)\.(?:com|net)/@?|t\.me/"
            r"|bsky\.app/profile/)"
            rf"(?P<value>{_HANDLE})(?![\w-])"
        ),
        0.7,
        lambda value: not _OF_THE_PLACE.fullmatch(value),
    ),
)
"""Rules for links, whose paths other rules leave alone."""

HINTS = re.compile(
    r"[Uu]ser|[Ll]ogin|ed (?:in|on) as|[Nn]ick|[Ss]creen|@|\.(?:com|me|net|app)/|account name|utzername|utente"
    r"|utilisateur|usuario|gebruiker"
)
"""Text without any of these holds no user name that the rules would find."""
