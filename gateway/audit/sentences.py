"""Each kind of entry as a sentence, for whoever reads a timeline. `muniment audit show` has the whole of an entry."""

from collections.abc import Mapping, Sequence
from typing import Any

from policies.audit.reader import Entry

_MOST_NAMED = 3
_SHORT = 12
_DIGEST_CHARACTERS = 64
SENTENCES: Mapping[str, str] = {
    "access:denied": "{principal} was refused {action}: {reason}",
    "answer:failed": "there was no answer ({error})",
    "answer:given": "the answer left; it cites {cited}; hidden from the model: {redactions}",
    "answer:unknown": "how the question of {principal} ended is unknown: its process was gone",
    "backup:made": "{by} made backup {backup}, up to entry {entries}; with keys: {with_keys}",
    "backup:restored": "{by} restored backup {backup}: {erasures} erased again, {entries_missing} entries missing",
    "clock:behind": "the machine's clock is {seconds} seconds behind the newest entry",
    "conversation:read": "{principal} read conversation {conversation} again, {messages} messages",
    "directory:failed": "the directory {origin} could not be read ({reason})",
    "directory:read": "the directory {origin} was read: {created} created, {enabled} let in, {disabled} disabled",
    "documents:changed": "of source {source} {change}: {documents}, and {more} more that are not named",
    "embeddings:made": "{principal} had vectors made of {texts} texts by {model}",
    "erasure:begun": "{by} is about to erase {subject}, a {of}",
    "export:restarted": "{by} had entries behind {after} sent to {sink} again",
    "export:sent": "entries {first} to {last} were sent to {sink}",
    "group:nested": "{by} put group {group} into {parent}",
    "group:unnested": "{by} took group {group} out of {parent}",
    "hold:ended": "{by} ended hold {hold} on {covers} {target}",
    "hold:placed": "{by} placed hold {hold} on {covers} {target}",
    "home:created": "{by} made this installation with version {version}",
    "home:parts-made": "{by} made {parts} anew, empty",
    "index:rebuilt": "{by} made the index anew, of {passages} passages",
    "investigation:closed": "{by} closed investigation {investigation}",
    "investigation:opened": "{by} began investigation {investigation}, until {ends}",
    "key:created": "{by} gave {user} the key {key_id}",
    "key:revoked": "{by} revoked key {key_id} of {user}",
    "key:rotated": "{by} put signing key {key} in the place of {previous}",
    "labels:changed": "documents of source {source} went from label {labels_before} to {labels}: {counts}",
    "labels:decided": "it was decided on {labels} by policies {policy_revision}",
    "master-key:resealed": "{by} has everything sealed anew with master key {master}, and earlier ones destroyed",
    "master-key:rotated": "{by} put another master key in the place of {previous}",
    "model:compared": "model {model} answered, too, unseen; it agreed with {other}: {agreed}",
    "model:evaluated": "{by} measured {models}: report {report}",
    "model:promoted": "{by} promoted {role} {model} in the place of {previous} by report {report}; forced: {forced}",
    "model:pulled": "{by} fetched model {model}",
    "model:rolled-back": "{by} went back to {role} {model} from {previous}: {cause}",
    "model:verified": "{by} checked model {model}; as published: {as_published}",
    "model:selected": "{by} chose model {model} instead of {previous}",
    "oversharing:listed": "{by} was shown which sensitive documents many may read: {documents}",
    "passages:retrieved": "found under {policies}: passages of {documents}; {labels_denied} labels were denied",
    "passages:sent": "{passages} went to model {model} under {policies}; {kept} stayed here ({kept_decisions})",
    "password:changed": "{by} gave {user} another password",
    "personal-data:revealed": "{principal} is shown {revealed} under label {label} by {policies}",
    "policy:changed": "{by} changed the rules: {added} added, {removed} removed, {changed} changed",
    "policy:explained": "{by} asked whether {user} may read {document}: {allowed}",
    "policy:refused": "{by} put rules forward that were refused for {problems} problems",
    "quarantine:changed": "{by} changed whether {document} is kept in quarantine; released: {released}",
    "question:asked": "{principal} asked a question over {channel}, to model {model}",
    "reveal:approved": "{by} approved {reveal}: the text of {user} may be read until {open_until}",
    "reveal:asked": "{by} asked to read the text of {user} ({reveal}), in investigation {investigation}",
    "reveal:opened": "{by} read the text of {user} ({reveal}); as recorded: {as_recorded}",
    "reveal:refused": "{by} refused {reveal}, the text of {user}",
    "search:asked": "{principal} searched over {channel}",
    "service:started": "{by} started the service, version {version}",
    "service:stopped": "the service that {by} had started stopped",
    "session:begun": "{principal} signed in by {method}",
    "session:ended": "{by} ended a session of {user} ({reason})",
    "sign-in:failed": "credentials of {user} were not accepted over {channel} ({reason})",
    "sign-in:locked": "sign-ins of {user} were locked after {failures} failures",
    "source:added": "{by} added source {source}, a {type}",
    "source:owners-changed": "{by} changed the owners of {source}: {added} added, {removed} removed",
    "source:removed": "{by} removed source {source}",
    "subject:erased": "{by} erased {subject}, a {of}: {counts}",
    "subject:exported": "{by} took a copy of all about {user}, {entries} entries of the trail",
    "sync:failed": "reading source {source} broke off ({error})",
    "sync:finished": "source {source} was read: {upserted} new or changed, {relabelled} relabelled, {deleted} deleted",
    "sync:started": "{by} had source {source} read",
    "trail:loss-accepted": "{by} goes on without what trail {trail} held, of which {entries} entries were signed",
    "trail:read": "{by} read the trail ({operation}) about {user}, {entries} entries, in investigation {investigation}",
    "trail:reduced": "{by} removed what {removed} old entries said: {classes}; {held} more are held",
    "usage:refused": "{principal} was refused {times} times by limit {limit}",
    "usage:reported": "{by} was shown what others used, by {grouping}, from {first_day} to {last_day}",
    "user:added": "{by} gave {user} groups {groups} and roles {roles}",
    "user:disabled": "{by} disabled {user}",
    "user:enabled": "{by} let {user} in again",
    "user:groups-changed": "{by} changed the groups of {user}: {added} added, {removed} removed",
    "user:linked": "{by} let {user} sign in by {issuer}",
    "user:unlocked": "{by} unlocked {user}",
    "vectors:dropped": "{by} removed the vectors of embedder {model}, of {passages} passages",
}
"""What is said of each kind, with its fields in braces."""


def sentence(entry: Entry, paths: Mapping[str, str]) -> str:
    """What an entry says, in words; `paths` are those of documents that are known by their ids."""
    fields = {name: _told(value, paths) for name, value in entry.event.items()}
    return SENTENCES.get(entry.kind, entry.kind).format_map(_Fields(fields))


class _Fields(dict[str, str]):
    """An entry of before a field was there lacks it."""

    def __missing__(self, _name: str) -> str:
        return "-"


def _told(value: Any, paths: Mapping[str, str]) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return _named(value, paths) or "-"
        case Mapping():
            return ", ".join(f"{count} {name}" for name, count in value.items()) or "nothing"
        case Sequence():
            return _listed(value, paths)
        case _:
            return str(value)


def _listed(values: Sequence[Any], paths: Mapping[str, str]) -> str:
    """The first few, each once."""
    names = list(dict.fromkeys(_named(str(value), paths) for value in values))
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join(names[:_MOST_NAMED] + more) or "nothing"


def _named(value: str, paths: Mapping[str, str]) -> str:
    """A path for a document's id; a digest by its beginning."""
    is_digest = len(value) == _DIGEST_CHARACTERS and set(value) <= set("0123456789abcdef")
    return paths.get(value, f"{value[:_SHORT]}.." if is_digest else value)
