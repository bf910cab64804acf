"""A sentence is supported only by a passage that has its numbers and most of its words."""

from gateway.chat.support import check_support

PASSAGES = ["Hotels may cost 140 EUR a night in Lisbon.", "Meals may cost 45 EUR a day."]


def test_a_sentence_stands_on_the_passage_that_states_it() -> None:
    [sentence] = check_support("Meals may cost 45 EUR a day.", PASSAGES)
    assert (sentence.passage, sentence.supported) == (1, True)


def test_a_changed_number_is_noticed() -> None:
    [sentence] = check_support("Hotels may cost 240 EUR a night in Lisbon.", PASSAGES)
    assert not sentence.supported


def test_other_words_are_noticed() -> None:
    [sentence] = check_support("Managers approve parking permits quarterly.", PASSAGES)
    assert not sentence.supported


def test_each_sentence_is_judged_by_itself() -> None:
    first, second = check_support("Hotels may cost 140 EUR a night. Meals may cost 900 EUR a day.", PASSAGES)
    assert first.supported
    assert not second.supported
