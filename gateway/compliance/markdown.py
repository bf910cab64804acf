"""The record of processing as a document for people, in Markdown."""

import re
from collections.abc import Iterable, Iterator

from gateway.compliance.record import Record, Said

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|])")


def as_markdown(record: Record) -> str:
    """The record, with a heading for each point of article 30(1)."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Record) -> Iterator[str]:
    yield "# Record of processing activities"
    yield ""
    yield "After Regulation (EU) 2016/679 (GDPR), article 30(1)."
    yield f"Made at {record.made_at} by Muniment {record.version} from its settings and its state."
    if record.to_be_filled_in:
        yield ""
        yield f"**To be filled in**, in muniment.toml: {', '.join(record.to_be_filled_in)}."
    yield from _section("(a) Controller and contacts", record.organisation)
    yield from _heading("(b) Purposes")
    yield from (f"* {_plain(purpose)}" for purpose in record.purposes or ("to be filled in",))
    yield f"* Legal basis: {_plain(record.legal_basis or 'to be filled in')}"
    yield from _section("(c) Categories of data subjects", record.data_subjects)
    yield from _heading("(c) Categories of personal data")
    yield "| kind | treated as | shown to the language model | shown to whoever may read the document | by the rules |"
    yield "|---|---|---|---|---|"
    for kind in record.personal_data:
        seen = (_yes(kind.model_sees), _yes(kind.ordinary_readers_see), ", ".join(kind.rules) or "none")
        yield f"| {' | '.join(map(_plain, (kind.type, kind.sensitivity, *seen)))} |"
    yield from _section("Rules on showing personal data", record.revealing_rules)
    yield from _section("(d) Recipients", record.recipients)
    yield from _section("(e) Transfers", record.transfers)
    yield from _section("(f) Time limits", record.retention)
    yield from _heading("(g) Technical and organisational measures")
    for measure in record.measures:
        test = f" Test: `{measure.test}`." if measure.test else ""
        yield f"* {_plain(measure.about)}: {_plain(measure.measure)}{test}"


def _section(title: str, said: Iterable[Said]) -> Iterator[str]:
    yield from _heading(title)
    listed = [f"* {_plain(one.about)}: {_plain(one.what)}" for one in said]
    yield from listed or ["* to be filled in"]


def _heading(title: str) -> list[str]:
    return ["", f"## {title}", ""]


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _plain(text: str) -> str:
    """Text on one line that no renderer takes for anything else; names of groups and sources are other people's."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
