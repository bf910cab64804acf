"""Sealed personal data in paths is found, and nothing else is taken for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.personal_data import EntityType, KnownTypes, Span
from policies.redaction.engine import Redactor
from policies.redaction.placeholders import mask
from retrieval.paths import sealed_spans

COMPANY = Path(__file__).parents[2] / "examples" / "company"
CARD, IBAN, SECRET = "[card number hidden]", "[account number hidden]", "[secret hidden]"
LONG_NAME = "Q3-2024-Budget-Review-Final-v2-2024-10-01-APPROVED-by-Finance"


@pytest.fixture(scope="module")
def redactor(model_path: Callable[[str], Path]) -> Redactor:
    return Redactor(model_path("en-core-web-sm-3.8.0"))


def shown(path: str, redactor: Redactor) -> str:
    return mask(path, sealed_spans(path, redactor), lambda _: False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("cards/4111-1111-1111-1111.pdf", f"cards/{CARD}.pdf"),
        ("scan_4111111111111111.pdf", f"scan_{CARD}.pdf"),
        ("4111_1111_1111_1111/statement.md", f"{CARD}/statement.md"),
        ("finance/iban_DE89370400440532013000.txt", f"finance/iban_{IBAN}.txt"),
        ("finance/iban-DE89 3704 0044 0532 0130 00.txt", f"finance/iban-{IBAN}.txt"),
        ("people/ssn_536-22-1234.pdf", "people/ssn_[national identifier hidden].pdf"),
        ("account-number-12345678.csv", "account-number-[account number hidden].csv"),
        ("keys/AKIAIOSFODNN7EXAMPL3.txt", f"keys/{SECRET}.txt"),
        ("keys/ghp_abcdefghijABCDEFGHIJ0123456789abcdef.txt", f"keys/{SECRET}.txt"),
        ("keys/password=hunter2xyz.txt", f"keys/password={SECRET}.txt"),
    ],
)
def test_sealed_data_in_a_path_is_masked(path: str, expected: str, redactor: Redactor) -> None:
    assert shown(path, redactor) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "README",
        "notes-2024-01-15.md",
        "2024/01/15/minutes.md",
        "v1.2.3/2024-W03.tar.gz",
        "invoice-2024-000123.pdf",
        f"board/{LONG_NAME}.docx",
        "/".join(["archive"] * 60) + "/plan.md",
        "people/Ada Brandt, ada.brandt@harbour.example.md",
        *(f"IMG_20240115_{second:06}.jpg" for second in range(93000, 93050)),
        *(f"2024-01-15_2024-02-{day:02}.md" for day in range(1, 29)),
        *(f"25-01-2024_093{second:03}.md" for second in range(50)),
    ],
)
def test_dates_extensions_and_names_of_files_are_no_data(path: str, redactor: Redactor) -> None:
    assert sealed_spans(path, redactor) == []


def test_what_the_exceptions_are_for(redactor: Redactor) -> None:
    """Without them, this would be taken for a secret."""
    types = {span.type for spans in redactor.find_many([LONG_NAME]) for span in spans}
    assert EntityType.SECRET in types


def test_paths_of_the_sample_company_come_out_as_they_are(redactor: Redactor) -> None:
    paths = [str(file.relative_to(COMPANY)) for file in COMPANY.rglob("*") if file.is_file()]
    assert len(paths) > 30
    assert [path for path in paths if shown(path, redactor) != path] == []


def test_paths_of_a_public_handbook_come_out_as_they_are(shared: Path, redactor: Redactor) -> None:
    folder = shared / "corpora" / "handbook"
    paths = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    assert len(paths) > 500
    assert [path for path in paths if shown(path, redactor) != path] == []


def test_only_what_is_sealed_is_kept() -> None:
    class Everything:
        types = KnownTypes()

        def find_many(self, texts: object) -> list[list[Span]]:
            return [[Span(0, 4, EntityType.PERSON, 1.0, "x"), Span(5, 9, EntityType.IBAN_CODE, 1.0, "x")], []]

    assert [span.type for span in sealed_spans("Anna/1234.md", Everything())] == [EntityType.IBAN_CODE]
