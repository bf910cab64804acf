"""What counts as right, and an independent reading of who may read what."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.evaluation.access import read_access
from gateway.evaluation.questions import EvaluationQuestion, load_questions
from gateway.evaluation.scoring import Outcome, count_words, first_rank, judge, share, spread, states

ACCESS = {
    "groups": ["everyone", "finance", "board"],
    "users": {"ada": ["everyone"], "bob": ["everyone", "finance"], "cyd": ["everyone", "board", "finance"]},
    "rules": [
        {"prefix": "", "groups": ["everyone"]},
        {"prefix": "finance/", "groups": ["finance"]},
        {"prefix": "finance/board.md", "groups": ["board"], "deny_users": ["bob"]},
        {"prefix": "secret/", "groups": []},
        {"prefix": "letters/", "users": ["ada"], "groups": ["finance"], "deny_groups": ["board"]},
    ],
}


def question(**changes: object) -> EvaluationQuestion:
    given = {
        "question": "How long?",
        "answer": "5 days",
        "must_include": (("5 days", "five days"),),
        "pages": ("a.md",),
    }
    return EvaluationQuestion(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "stated"),
    [
        ("It takes 5 days.", True),
        ("It takes FIVE DAYS.", True),
        ("It takes 15 days.", False),  # A digit before it makes it another number.
        ("It takes (5 days).", True),
        ("It takes days: 5.", False),
        ("", False),
    ],
)
def test_an_answer_states_one_alternative_of_each_group(answer: str, *, stated: bool) -> None:
    assert states(answer, [["5 days", "five days"]]) is stated


def test_every_group_must_be_stated() -> None:
    assert states("5 days, paid", [["5 days"], ["paid", "salary"]])
    assert not states("5 days", [["5 days"], ["paid", "salary"]])


def test_alternatives_are_texts_and_no_patterns() -> None:
    assert not states("5xdays", [["5.days"]])
    assert states("$50,000 (gross)", [["$50,000 (gross)"]])


@pytest.mark.parametrize(
    ("answer", "cited", "outcome"),
    [
        ("It takes 5 days [1].", ["a.md"], Outcome.RIGHT),
        ("It takes 5 days [1].", ["b.md"], Outcome.WRONG),
        ("It takes 5 days.", [], Outcome.WRONG),
        ("It takes 6 days [1].", ["a.md"], Outcome.WRONG),
        ("It takes 5 days [1]. " + "word " * 77, ["a.md"], Outcome.WRONG),
        ("It takes 5 days [1]. " + "word " * 76, ["b.md", "a.md"], Outcome.RIGHT),
    ],
)
def test_right_is_stated_short_and_cited(answer: str, cited: list[str], outcome: Outcome) -> None:
    assert judge(question(), answer, cited, abstained=False) is outcome


def test_to_decline_is_never_right_or_wrong_by_itself() -> None:
    assert judge(question(), "Not in the documents. 5 days", ["a.md"], abstained=True) is Outcome.DECLINED
    assert judge(question(answer=None), "", [], abstained=True) is Outcome.DECLINED


def test_any_answer_to_an_unanswerable_question_is_wrong() -> None:
    unanswerable = question(answer=None, must_include=(), pages=())
    assert judge(unanswerable, "5 days", ["a.md"], abstained=False) is Outcome.WRONG


def test_citation_marks_are_no_words() -> None:
    assert count_words("Five days [1] [12], paid - in full.") == 5


def test_the_rank_counts_distinct_pages() -> None:
    assert first_rank(["a", "a", "b", "a", "c"], ["c"]) == 3
    assert first_rank(["a", "b"], ["c"]) is None


def test_the_interval_is_wilsons() -> None:
    """Against the values of Wilson's formula computed by hand for 8 of 10."""
    measured = share(8, 10)
    assert (measured.count, measured.of, measured.share) == (8, 10, 0.8)
    assert math.isclose(measured.low, 0.4901625, abs_tol=1e-6)
    assert math.isclose(measured.high, 0.9433178, abs_tol=1e-6)


def test_nothing_measured_says_nothing() -> None:
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    assert spread([]).median is None


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share_and_stays_a_rate(counts: tuple[int, int]) -> None:
    measured = share(*counts)
    assert 0 <= measured.low <= measured.share + 1e-12
    assert measured.share - 1e-12 <= measured.high <= 1


def test_median_and_p95_are_measured_values() -> None:
    measured = spread([float(value) for value in range(100, 0, -1)])
    assert (measured.median, measured.p95) == (50.0, 95.0)
    assert spread([7.0]).p95 == 7.0


@pytest.fixture
def access_file(tmp_path: Path) -> Path:
    path = tmp_path / "access.json"
    path.write_text(json.dumps(ACCESS))
    return path


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        ("ada", "handbook.md", True),
        ("eve", "handbook.md", False),
        ("ada", "finance/plan.md", False),
        ("bob", "finance/plan.md", True),
        ("bob", "finance/board.md", False),
        ("cyd", "finance/board.md", True),
        ("cyd", "secret/plan.md", False),
        ("ada", "letters/one.md", True),
        ("bob", "letters/one.md", True),
        ("cyd", "letters/one.md", False),  # Denied as board, though allowed as finance.
    ],
)
def test_the_longest_rule_decides_and_a_denial_wins(access_file: Path, user: str, path: str, *, allowed: bool) -> None:
    assert read_access(access_file).may_read(user, path) is allowed


def test_without_a_rule_nobody_may_read(tmp_path: Path) -> None:
    path = tmp_path / "access.json"
    path.write_text(json.dumps(ACCESS | {"rules": [{"prefix": "a/", "groups": ["everyone"]}]}))
    assert not read_access(path).may_read("ada", "b/page.md")


def test_the_first_reader_is_the_first_user_of_the_file(access_file: Path) -> None:
    access = read_access(access_file)
    assert access.first_reader(["board"]) == "cyd"
    assert access.first_reader(["finance", "board"]) == "bob"
    assert access.first_reader([]) == "ada"
    assert access.first_reader(["nobody"]) is None


def test_both_readings_of_the_sample_company_agree() -> None:
    """The product's reading and this one are independent; where both have no bug they say the same."""
    from connectors.access import load_access  # noqa: PLC0415 - only here: the module under test must not need it

    root = Path(__file__).parents[2] / "examples"
    product, independent = load_access(root / "access.json"), read_access(root / "access.json")
    paths = [path.relative_to(root / "company").as_posix() for path in (root / "company").rglob("*") if path.is_file()]
    for user, groups in product.users.items():
        for path in paths:
            label = product.label(path)
            assert independent.may_read(user, path) == (not groups.isdisjoint(label.allow_groups)), (user, path)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"users": {}, "rules": []}', '{"users": {"a": 1}, "rules": []}'])
def test_a_file_that_is_no_access_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "access.json"
    path.write_text(content)
    with pytest.raises(BadRequestError, match=r"access\.json"):
        read_access(path)


def test_the_questions_of_the_sample_company_are_of_the_form() -> None:
    questions = load_questions(Path(__file__).parents[2] / "examples" / "questions.jsonl")
    assert {question.answerable for question in questions} == {True, False}
    assert all(question.id for question in questions)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "Line 2"),
        ('{"answer": "x"}', "Line 2"),
        ('{"question": "q", "answer": "x", "must_include": [["x"]]}', "pages"),
        ('{"question": "q", "answer": "x", "pages": ["a"], "must_include": []}', "must_include"),
        ('{"question": "q", "answer": "x", "pages": ["a"], "must_include": [[]]}', "must_include"),
        ('{"question": " "}', "lacks a question"),
        ('{"question": "q", "history": [{"role": "system", "content": "x"}]}', "Line 2"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f'{{"question": "Anything?"}}\n{line}\n')
    with pytest.raises(BadRequestError, match=says):
        load_questions(path)


def test_a_question_without_a_name_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('\n{"question": "Anything?"}\n')
    assert [question.id for question in load_questions(path)] == ["line-2"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_questions_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRequestError, match=r"questions\.jsonl"):
        load_questions(path)
