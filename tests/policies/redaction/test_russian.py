"""People in Russian text, with the real models."""

from itertools import product
from pathlib import Path

import pytest

from policies.personal_data import EntityType
from policies.redaction.engine import Redactor
from policies.redaction.segments import segments


def people(redactor: Redactor, text: str) -> list[str]:
    return [text[span.start : span.end] for span in redactor.find(text) if span.type is EntityType.PERSON]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Акт подписала Мария Ивановна Петрова двенадцатого марта.", ["Мария Ивановна Петрова"]),
        ("Передайте Ивану Петрову и Марии Сергеевне пропуска.", ["Ивану Петрову", "Марии Сергеевне"]),
        ("Заявление Кузнецова А. В. передано Сидоровой Е.Н.", ["Кузнецова А. В.", "Сидоровой Е.Н."]),
        ("И. П. Смирнов отвечает за склад.", ["И. П. Смирнов"]),
        ("иванов пётр сергеевич работает в отделе кадров", ["иванов пётр сергеевич"]),
        ("меня зовут анна кузнецова, я из бухгалтерии", ["анна кузнецова"]),
        ("СОКОЛОВА ЕЛЕНА ВИКТОРОВНА", ["СОКОЛОВА ЕЛЕНА ВИКТОРОВНА"]),
        ("Менеджер проекта: Айгуль Сафиуллина", ["Айгуль Сафиуллина"]),
        ("| Ольга Смирнова | бухгалтер |\n| Тимур Ахметов | водитель |\n", ["Ольга Смирнова", "Тимур Ахметов"]),
        ("За расчёт отвечает **Наталья Орлова**.", ["Наталья Орлова"]),
        ("Уважаемый г-н Волков, отпуск согласован.", ["Волков"]),
        ("Позвоните Саше до пятницы.", ["Саше"]),
        ("О\u0301льга Смирнова и Оль\u00adга Смир\u200bнова", ["О\u0301льга Смирнова", "Оль\u00adга Смир\u200bнова"]),
        ("Вопросы к Марине Белозёровой; in English: ask Maria Keller.", ["Марине Белозёровой", "Maria Keller"]),
    ],
)
def test_names_are_found(redactor: Redactor, text: str, names: list[str]) -> None:
    assert people(redactor, text) == names


@pytest.mark.parametrize(
    "text",
    [
        "Согласно статье 12 Трудового кодекса отпуск составляет 28 дней.",
        "Отпуск оформляется в системе за 14 дней.",
        "ОТЧЁТ О РАБОТЕ ОТДЕЛА ЗА ПЕРВЫЙ КВАРТАЛ",
        "обычно правовая основа договора определяется законом",
        "Новая версия Windows вышла в 2023 г. Цена 5 руб. за место.",
        "Заявки на кирпич и москитные сетки принимает склад.",
        "Офис находится в Москве, филиалы работают в Казани и Твери.",
        "Мы переходим на Kubernetes и PostgreSQL до конца года.",
        "Смотрите рис. 4 и табл. 2 на с. 15.",
    ],
)
def test_what_is_no_name_stays(redactor: Redactor, text: str) -> None:
    assert people(redactor, text) == []


NOMINATIVE = [
    ("Алексей", "Николаевич", "Воробьёв"),
    ("Татьяна", "Павловна", "Лебедева"),
    ("Рустам", "Ильич", "Гаджиев"),
]
CASES = {
    "Документы получит {}.": NOMINATIVE,
    "Документов у {} нет.": [
        ("Алексея", "Николаевича", "Воробьёва"),
        ("Татьяны", "Павловны", "Лебедевой"),
        ("Рустама", "Ильича", "Гаджиева"),
    ],
    "Документы отправлены {} утром.": [
        ("Алексею", "Николаевичу", "Воробьёву"),
        ("Татьяне", "Павловне", "Лебедевой"),
        ("Рустаму", "Ильичу", "Гаджиеву"),
    ],
    "Договор подготовлен {} вчера.": [
        ("Алексеем", "Николаевичем", "Воробьёвым"),
        ("Татьяной", "Павловной", "Лебедевой"),
        ("Рустамом", "Ильичом", "Гаджиевым"),
    ],
}
ORDERS = ("{0} {1} {2}", "{2} {0} {1}", "{0} {2}", "{2} {0}", "{0} {1}")
WAYS = (str, str.lower, str.upper)


def test_names_in_all_cases_orders_and_letters(redactor: Redactor) -> None:
    texts = wide = 0
    for (sentence, names), order, way in product(CASES.items(), ORDERS, WAYS):
        for parts in names:
            name = way(order.format(*parts))
            found = " ".join(people(redactor, text := way(sentence.format(order.format(*parts)))))
            assert name in found, text
            texts += 1
            wide += found != name
    assert wide <= 0.1 * texts  # A word beside the name, where capitals tell nothing.


def test_without_the_model_most_names_are_missed(recogniser_model: Path) -> None:
    """Negative control."""
    english = Redactor(recogniser_model)
    texts = ["Передайте Ивану Петрову пропуск.", "иванов пётр сергеевич пришёл", "Позвоните Саше до пятницы."]
    assert sum(bool(people(english, text)) for text in texts) < len(texts)


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "Он живёт на ул. Садовой, кв. 5. Тел. 12-34."
    assert [text[start:end].strip() for start, end in segments(text)] == [
        "Он живёт на ул. Садовой, кв. 5.",
        "Тел. 12-34.",
    ]
