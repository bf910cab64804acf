"""A copy as files: JSON for machines, a summary for people, and a page that says what each part is."""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from gateway.errors import BadRequestError
from gateway.files import folder_when_whole, named_when_whole
from gateway.subject_access.documents import NamingDocument
from gateway.subject_access.gathering import Copy

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|])")
_WHAT = "The copy"
_HEAD = """\
# A copy of what is held about {whom}

Made at {at} by Muniment {version}, after articles 15 and 20 of Regulation (EU) 2016/679 (GDPR). Times are in UTC.

"""
_PARTS = {
    "summary.md": ("the most of it, to be read", ""),
    "account.json": (
        "the account: name, roles, whether it is active, groups, sources they own, how they sign in",
        "to know who may ask and read what",
    ),
    "sessions.json": ("where and how they signed in; never the token", "to keep them signed in, and to end that"),
    "keys.json": ("API keys by their public part; never the key", "to recognise programs that act for them"),
    "conversations.json": (
        "conversations that they kept, with every question and answer; sealed, and opened for this copy",
        "to go on with them",
    ),
    "questions.json": (
        "questions and answers of the last days, kept sealed whether or not the conversation was; opened for this copy",
        "so that an investigation can find out what was shown, with the approval of two people",
    ),
    "usage.json": (
        "how many questions they asked of which model on which day, what that took and cost; no text",
        "to share out the machine and what it costs, and to keep to limits",
    ),
    "documents.json": (
        "which documents name the person: source, id, title, and in how many passages; their texts stay where they are",
        "to answer questions from them for those who may read them",
    ),
    "trail.json": (
        "entries of the audit trail by them, of their questions and about them",
        "to prove who was shown what, and why (GDPR, article 5(2))",
    ),
}
"""What each file is, and why it is held."""
_TAIL = """
Entries of the trail hold identifiers, digests and counts, and no text of questions, answers or documents. Other people
stand as *another person* with a number, the same throughout this copy. Passwords are held as digests that nobody can
read back, and are left out, as digests of keys and sessions are. Legal holds are left out, too (article 23).
"""


def files_of(copy: Copy | None, documents: Sequence[NamingDocument] | None) -> Mapping[str, bytes]:
    """The files of a copy by their names: of a user, of the documents that name a person, or both."""
    files = _of_user(copy) if copy else {}
    if documents is not None:
        files["documents.json"] = _json(documents)
    head = _HEAD.format(
        whom=plain(copy.user) if copy else "a person whom documents name",
        at=_time(copy.made_at if copy else datetime.now(UTC)),
        version=version("muniment"),
    )
    rows = [f"| `{name}` | {what} | {why} |" for name, (what, why) in _PARTS.items() if name in files]
    table = "\n".join(["| file | what it is | why it is held |", "|---|---|---|", *rows])
    return {"README.md": f"{head}{table}\n{_TAIL}".encode(), **files}


def _of_user(copy: Copy) -> dict[str, bytes]:
    account = {
        "user": copy.user,
        "account": copy.account,
        "groups": copy.groups,
        "owned_sources": copy.owned_sources,
        "sign_ins": copy.sign_ins,
    }
    return {
        "summary.md": ("\n".join(_summary(copy)) + "\n").encode(),
        "account.json": _json(account),
        "sessions.json": _json(copy.sessions),
        "keys.json": _json(copy.keys),
        "conversations.json": _json(copy.conversations),
        "questions.json": _json(copy.questions),
        "usage.json": _json(copy.usage),
        "trail.json": _json(copy.entries),
    }


def write_copy(files: Mapping[str, bytes], out: Path) -> None:
    """Write a copy to a new file, if its name ends in `.zip`, else to a new folder; whole, or not at all.

    Raises:
        BadRequestError: It cannot be written.
        ConflictError: Something of that name is there.
    """
    if out.suffix.casefold() == ".zip":
        with named_when_whole(out, _WHAT, BadRequestError) as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        return
    with folder_when_whole(out, _WHAT, BadRequestError) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)


def plain(text: str) -> str:
    """Text on one line that no renderer takes for anything else."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _summary(copy: Copy) -> Iterator[str]:
    account = copy.account
    yield f"# What is held about {plain(copy.user)}"
    yield ""
    yield f"* Account since {_time(account['created_at'])}, {'active' if account['active'] else 'disabled'}"
    yield f"* Roles: {plain(account['roles']) or 'none'}"
    yield f"* Groups: {plain(', '.join(account['groups_in_effect'])) or 'none'}"
    yield f"* Sources they own: {plain(', '.join(copy.owned_sources)) or 'none'}"
    yield f"* {len(copy.sessions)} sessions, {len(copy.keys)} API keys, {len(copy.entries)} entries of the audit trail"
    for conversation in copy.conversations:
        yield from ("", f"## Conversation of {_time(conversation.began_at)}", "")
        if not conversation.readable:
            yield "It does not open any more."
        for message in conversation.messages:
            yield f"* {message.speaker}: {plain(message.text)}"
    yield from ("", "## Audit trail", "", "| entry | at | what |", "|---|---|---|")
    yield from (f"| {entry.id} | {_time(entry.at)} | {entry.kind} |" for entry in copy.entries)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
