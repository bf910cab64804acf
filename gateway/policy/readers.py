"""Who is alike before the rules: principals that no rule and no label can tell apart are decided on once."""

from collections.abc import Collection, Iterable, Sequence
from itertools import product

from policies.context import LOCAL_NETWORK, LOOPBACK_NETWORK, OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.labels import Label
from policies.principals import Principal
from policies.rules import Rule, asks_of_context, named
from policies.sources import OwnedSource

_READING = (Purpose.ANSWER, Purpose.EVALUATION, Purpose.SEARCH)
"""What documents are read for."""


def alike(
    principals: Iterable[Principal],
    labels: Iterable[Label],
    rules: Iterable[Rule],
    sources: Iterable[OwnedSource] = (),
) -> list[list[Principal]]:
    """The principals, those together that have the same rights whatever is asked.

    Rules see a principal's kind, groups, roles and whether it is active; its name only where a rule, a label or
    a source says it.
    """
    by_name = {name for label in labels for name in label.allow_users | label.deny_users}
    by_name |= {name for rule in rules for type_ in ("User", "Service") for name in named(rule.body, type_)}
    by_name |= {name for source in sources for name in source.owner_users}
    together: dict[object, list[Principal]] = {}
    for principal in principals:
        name = principal.id if principal.id in by_name else bool(principal.id)
        key = (principal.kind, principal.groups, principal.roles, principal.active, name)
        together.setdefault(key, []).append(principal)
    return list(together.values())


def contexts_that_differ(rules: Sequence[Rule], networks: Collection[str]) -> list[RequestContext]:
    """Every context of a reader that some rule can tell from another."""
    asked = {field for rule in rules for field in asks_of_context(rule.body)}
    places = sorted({*networks, LOCAL_NETWORK, LOOPBACK_NETWORK, OTHER_NETWORK})
    return [
        RequestContext(purpose, network, channel)
        for purpose, network, channel in product(
            _READING if "purpose" in asked else (Purpose.ANSWER,),
            places if "network" in asked else (OTHER_NETWORK,),
            Channel if "channel" in asked else (Channel.HTTP,),
        )
    ]
