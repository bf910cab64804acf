"""Texts in languages in which names are not looked for are noticed."""

import json
from pathlib import Path

import pytest

from policies.redaction.languages import likely_language, unsupported


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("The travel policy applies to all of us and is reviewed in spring.", set()),
        ("Отпуск согласуется с руководителем за две недели до начала.", set()),
        ("Die Reise wird von der Abteilung bezahlt und ist vorher zu melden.", {"German"}),
        ("Les frais de voyage sont remboursés par le service dans les trente jours.", {"French"}),
        ("Los gastos de viaje se pagan por la empresa en el plazo de un mes, como todos.", {"Spanish"}),
        ("Koszty podróży nie są zwracane, jeśli wniosek jest złożony po terminie lub przez inną osobę.", {"Polish"}),
        ("Витрати на відрядження відшкодовуються протягом місяця після подання звіту.", {"Cyrillic, not Russian"}),
        ("تُدفع نفقات السفر خلال ثلاثين يوما", {"Arabic"}),
        ("出張費は三十日以内に支払われます。", {"Cjk", "Hiragana"}),
        ("Η εταιρεία πληρώνει τα έξοδα ταξιδιού.", {"Greek"}),
        ("The plan is due in May. Der Plan ist bis zum Mai zu liefern und wird dann geprüft.", {"German"}),
        ("", set()),
        ("4711 / 12 %", set()),
        ("Müller GmbH, Düsseldorf", set()),
    ],
)
def test_languages_without_a_recogniser_are_named(text: str, languages: set[str]) -> None:
    found = unsupported(text)
    assert found <= languages
    assert bool(found) == bool(languages)


def test_english_pages_are_never_flagged(shared: Path) -> None:
    pages = sorted((shared / "corpora" / "handbook").rglob("*.md"))[:150]
    flagged = [page.name for page in pages if unsupported(page.read_text(encoding="utf-8"))]
    assert len(flagged) <= 0.02 * len(pages), flagged


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("How many days of holiday do I have?", "English"),
        ("Wie viele Urlaubstage habe ich?", "German"),
        ("Wann werden die Gehälter überprüft?", "German"),
        ("Combien de jours de congé ai-je ?", "French"),
        ("¿Cuántos días de vacaciones tengo?", "Spanish"),
        ("Сколько у меня дней отпуска?", "Russian"),
        ("offer acceptance rate target", None),
        ("", None),
    ],
)
def test_the_language_of_a_question_is_told_by_its_small_words(question: str, language: str | None) -> None:
    assert likely_language(question) == language


def test_english_questions_are_not_taken_for_others(shared: Path) -> None:
    articles = json.loads((shared / "corpora" / "squad-dev.json").read_text(encoding="utf-8"))["data"]
    asked = [qa["question"] for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    assert {likely_language(question) for question in asked} <= {"English", None}
