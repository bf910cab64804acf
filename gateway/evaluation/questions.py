"""The file of questions: one JSON object a line, with the right answers and the pages that hold them."""

from pathlib import Path
from typing import Literal

import msgspec

from gateway.errors import BadRequestError


class Said(msgspec.Struct, frozen=True):
    """A turn that went before the question."""

    role: Literal["user", "assistant"]
    content: str


class EvaluationQuestion(msgspec.Struct, frozen=True):
    """A question whose answer is known. Further fields of the file are left alone.

    Attributes:
        question: What is asked.
        answer: The right answer in words; none when the documents do not hold one.
        history: What was said before.
        must_include: An answer is right when it holds one alternative of each group.
        pages: Paths of every document that holds the answer.
        readers: The groups that may read one of them; empty when everybody counts.
        id: Its name in reports; the line number when the file gives none.
    """

    question: str
    answer: str | None = None
    history: tuple[Said, ...] = ()
    must_include: tuple[tuple[str, ...], ...] = ()
    pages: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    id: str = ""

    @property
    def answerable(self) -> bool:
        """Whether the documents hold an answer."""
        return self.answer is not None


def load_questions(path: Path) -> list[EvaluationQuestion]:
    """Read a file of questions.

    Raises:
        BadRequestError: It cannot be read, holds no question, or a line is not of the form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"The questions {path} cannot be read: {reason}."
        raise BadRequestError(message) from error
    questions = [_question(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not questions:
        message = f"{path} holds no question. Write one JSON object a line."
        raise BadRequestError(message)
    return questions


def _question(path: Path, number: int, line: str) -> EvaluationQuestion:
    try:
        question = msgspec.json.decode(line, type=EvaluationQuestion)
    except msgspec.DecodeError as error:
        message = f"Line {number} of {path} is not a question: {error}. Correct it."
        raise BadRequestError(message) from error
    complete = all(question.must_include) and bool(question.must_include) and bool(question.pages)
    if not question.question.strip() or (question.answerable and not complete):
        message = (
            f"Line {number} of {path} lacks a question, or has an answer without must_include and pages. Add them."
        )
        raise BadRequestError(message)
    return question if question.id else msgspec.structs.replace(question, id=f"line-{number}")
