"""Questions and passages meet in the same terms."""

from retrieval.terms import term_counts, terms


def test_forms_of_a_word_meet() -> None:
    assert terms("Approvals approved") == terms("approval approve")


def test_stop_words_and_case_do_not_count() -> None:
    assert terms("What is the BUDGET?") == terms("budget")


def test_full_width_letters_and_numbers_are_found() -> None:
    assert terms("Ｂｕｄｇｅｔ ５０") == terms("budget 50")


def test_counts() -> None:
    assert term_counts("hotel hotels and a hotel") == {"hotel": 3}


def test_a_word_of_absurd_length_is_left_out() -> None:
    assert terms("x" * 10_000) == []


def test_russian_words_are_stemmed_as_russian() -> None:
    assert terms("договоры") == terms("договора") == terms("ДОГОВОРУ")
    assert terms("учёт") == terms("учет")
    assert terms("как и где") == []
    assert terms("Kubernetes для отделов") == [*terms("Kubernetes"), *terms("отдела")]
