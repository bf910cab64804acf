"""A document that hangs, eats memory or ends the process costs itself alone."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.contract import Upsert
from policies.isolated import environment
from policies.labels import Label
from policies.principals import Principal
from retrieval.errors import SyncFailedError
from retrieval.parsing import IsolatedParser, UnparsableError, parse
from tests.fakes.sources import page
from tests.retrieval.conftest import Corpus

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OWEN = Principal("owen", frozenset({"everyone"}))
EVERYONE = Label.for_groups("everyone")


@pytest.fixture
def parser() -> Iterator[IsolatedParser]:
    with IsolatedParser(cpu_seconds=1, memory_bytes=1_500_000_000) as made:
        yield made


def word(body: str) -> bytes:
    """The smallest archive that is a Word document with this body."""
    namespace = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{types}.document.main+xml"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
        )
        file.writestr("word/document.xml", f"<w:document {namespace}><w:body>{body}</w:body></w:document>")
    return content.getvalue()


def children() -> set[str]:
    """The processes this one started that have not been waited for."""
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()}


def merged_table() -> bytes:
    """A cell of 10 kB, continued over 40,000 rows: 400 MB of text out of an archive of some kilobytes."""
    merged = "<w:tcPr><w:vMerge/></w:tcPr>"
    first = f"<w:tr><w:tc>{merged}<w:p><w:r><w:t>{'x' * 10_000}</w:t></w:r></w:p></w:tc></w:tr>"
    return word(f"<w:tbl>{first}{f'<w:tr><w:tc>{merged}<w:p/></w:tc></w:tr>' * 40_000}</w:tbl>")


def many_runs() -> bytes:
    """250,000 runs, each with a style of its own: 17 MB of XML in some kilobytes."""
    run = '<w:r><w:rPr><w:color w:val="000000"/></w:rPr><w:t>a</w:t></w:r>'
    return word(f"<w:p>{run * 250_000}</w:p>")


@pytest.mark.parametrize(("hostile", "takes"), [(many_runs, "1 s of processor time"), (merged_table, "split it")])
def test_what_takes_too_much_is_refused_and_the_next_is_read(
    parser: IsolatedParser, hostile: Callable[[], bytes], takes: str
) -> None:
    content = hostile()
    assert len(content) < 300_000
    began = time.monotonic()
    with pytest.raises(UnparsableError, match=takes):
        parser.parse(content, WORD, "a.docx")
    assert time.monotonic() - began < 60
    assert parser.parse(b"# Pay\n\nSalaries rise.", "text/markdown", "pay.md").title == "Pay"


def test_what_takes_too_much_memory_is_refused() -> None:
    with IsolatedParser(memory_bytes=200_000_000) as parser:
        with pytest.raises(UnparsableError, match=r"0\.2 GB of memory"):
            parser.parse(b"x" * 99_000_000, "text/plain", "a.txt")
        assert parser.parse(b"Salaries rise.", "text/plain", "a.txt").text == "Salaries rise."


def test_without_a_limit_it_would_be_read_for_longer() -> None:
    """The negative control: the same document, with nothing to stop it, takes more than the time that was given."""
    began = time.process_time()
    parse(many_runs(), WORD, "a.docx")
    assert time.process_time() - began > 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_ends_costs_its_document_alone(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As a crash of native code would: of three documents the one that was being read is left out, with a reason."""
    real = IsolatedParser._ask

    def dies(self: IsolatedParser, process: subprocess.Popen[bytes], content: bytes, request: object) -> object:
        if b"crash" in content:
            process.send_signal(number)
            process.wait()
        return real(self, process, content, request)  # type: ignore[arg-type]

    monkeypatch.setattr(IsolatedParser, "_ask", dies)
    monkeypatch.setattr(corpus.ingestion, "_new_parser", IsolatedParser)
    report = corpus.sync(
        page("a", "Salaries rise.", EVERYONE), page("b", "crash", EVERYONE), page("c", "Salaries fall.", EVERYONE)
    )
    assert (report.upserted, report.skipped, report.again) == (2, 1, int(number is signal.SIGKILL))
    assert {passage.path for passage in corpus.search("salaries", OWEN).passages} == {"a.md", "c.md"}


def test_a_run_leaves_no_process(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus.ingestion, "_new_parser", IsolatedParser)
    before = children()
    corpus.sync(page("a", "Salaries rise.", EVERYONE))
    assert children() <= before


def test_a_run_without_changes_starts_none(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.sync(page("a", "Salaries rise.", EVERYONE))
    monkeypatch.setattr(corpus.ingestion, "_new_parser", IsolatedParser)
    monkeypatch.setattr(IsolatedParser, "_start", lambda _self: pytest.fail("a process was started"))
    assert corpus.sync(page("a", "Salaries rise.", EVERYONE)).upserted == 0


def test_it_ends_with_its_parent() -> None:
    """Killed, so that nothing of the parent's runs at its end."""
    program = (
        "import sys, time\nfrom retrieval.parsing import IsolatedParser\nparser = IsolatedParser()\n"
        "parser.parse(b'a', 'text/plain', 'a.txt')\nprint(parser._process.pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment() | {"PATH": os.environ["PATH"]}
    ) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().decode().strip()
        assert worker.exists()
        parent.kill()
    deadline = time.monotonic() + 10
    while worker.exists() and "State:\tZ" not in (worker / "status").read_text(encoding="ascii"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_has_no_secrets_files_or_network(parser: IsolatedParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_HOME", "/srv/secret")
    parser.parse(b"a", "text/plain", "a.txt")
    process = parser._process
    assert process is not None
    assert "MUNIMENT_HOME" not in environment()
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["3", "3"]]


def test_every_kind_is_read_as_without_a_process(parser: IsolatedParser) -> None:
    """Libraries import parts of themselves when they first need them: too late where no file can be opened."""
    kinds = {
        ".csv": "text/csv",
        ".docx": WORD,
        ".eml": "message/rfc822",
        ".html": "text/html",
        ".md": "text/markdown",
        ".pdf": "application/pdf",
        ".txt": "text/plain",
    }
    company = Path(__file__).parents[2] / "examples" / "company"
    files = [file for file in sorted(company.rglob("*")) if file.suffix in kinds]
    assert {file.suffix for file in files} == kinds.keys()
    for file in files:
        upsert = Upsert(file.name, file.name, file.read_bytes(), kinds[file.suffix], EVERYONE)
        here = parse(upsert.content, upsert.media_type, upsert.path)
        assert parser.parse(upsert.content, upsert.media_type, upsert.path) == here


@pytest.mark.parametrize("content", [b"", b"\x00\x01binary", b"%PDF-1.7 cut off", b"PK\x03\x04 no archive"])
def test_reasons_are_those_of_the_readers(parser: IsolatedParser, content: bytes) -> None:
    def reason(read: Callable[[bytes, str, str], object]) -> str:
        with pytest.raises(UnparsableError) as caught:
            read(content, "application/octet-stream", "a")
        return str(caught.value)

    assert reason(parser.parse) == reason(parse)


@pytest.mark.parametrize(
    "said",
    [
        '{"document": 5}',
        '{"document": {"text": "ab", "title": "", "blocks": [["paragraph", 0, 9]]}}',
        '{"document": {"text": "ab", "title": "", "blocks": [{"kind": "paragraph", "start": 0, "end": 9}]}}',
        '{"document": {"text": "a\\u0007", "title": "", "blocks": [{"kind": "paragraph", "start": 0, "end": 2}]}}',
        '{"document": {"text": "ab", "title": "", "blocks": [{"kind": "list", "start": 1, "end": 0}]}}',
    ],
)
def test_a_reply_that_is_no_document_is_refused(
    parser: IsolatedParser, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A process that hostile content took over can say anything."""
    program = [sys.executable, "-c", f"import sys; sys.stdin.buffer.readline(); print({said!r}, flush=True)"]
    monkeypatch.setattr(
        parser, "_start", lambda: subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    with pytest.raises(UnparsableError, match="no document"):
        parser.parse(b"a", "text/plain", "a.txt")


def test_a_process_that_does_not_start_loses_no_document(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one bad start would leave every document out that it was to read."""
    corpus.sync(page("a", "Salaries rise.", EVERYONE))
    monkeypatch.setattr(corpus.ingestion, "_new_parser", IsolatedParser)
    with monkeypatch.context() as broken:
        broken.setattr("policies.isolated.environment", lambda: {"PYTHONHOME": "/nowhere"})
        with pytest.raises(SyncFailedError, match="ended at its start"):
            corpus.sync(page("a", "Salaries fall.", EVERYONE))
    assert [passage.text for passage in corpus.search("salaries", OWEN).passages] == ["Salaries rise."]
    assert corpus.sync(page("a", "Salaries fall.", EVERYONE)).upserted == 1


def test_a_name_that_is_no_text_is_read(parser: IsolatedParser) -> None:
    assert parser.parse(b"Salaries rise.", "text/plain", "a\udcff.txt").text == "Salaries rise."
