"""What an ordinary reader is shown of personal data, for trying redaction out without a document or a user.

An ordinary reader is an employee in no group who may read the text by name, and asks over HTTP from a network without a
name; the text is one of a document with the classification "internal". What rules give to groups, to single people, at
some places or for some labels is therefore not counted. The decision is Cedar's, by the policies in force.
"""

from collections.abc import Collection, Mapping

from policies.authorizer import Decider
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.personal_data import SpanType
from policies.principals import Principal, Role

_ID = "an ordinary reader"
"""Names of users hold no blanks, so no rule and no label names this one."""
_READER = Principal(_ID, roles=frozenset({Role.EMPLOYEE}))
_LABEL = Label(allow_users=frozenset({_ID}))
_ASKING = RequestContext()


def shown_to_ordinary_readers(policies: Decider, kinds: Collection[SpanType]) -> Mapping[SpanType, Decision]:
    """For each kind of personal data: is it shown to an ordinary reader, and by which rules?"""
    if not kinds:
        return {}
    return policies.decide_reveals(_READER, sorted(kinds), [_LABEL], _ASKING)[_LABEL]
