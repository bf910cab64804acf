"""Late interaction: each token of a question counts by its nearest of a passage's, exactly, whatever stands beside."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.embedder import Embedded
from retrieval.interaction import Question, sentence_interaction, token_codes, token_weights
from retrieval.interaction import interaction as weighed
from tests.fakes.hash_embedder import HashEmbedder

EMBEDDER = HashEmbedder()
OFFSETS = tuple((place, place + 1) for place in range(40))


def interaction(question: Embedded, passages: Sequence[bytes]) -> list[float]:
    """With all tokens counting alike."""
    return weighed(Question(question, [1.0] * len(question.tokens)), passages)


def codes(text: str) -> bytes:
    return token_codes(text, EMBEDDER.embed_whole(text))


def random_tokens(seed: int, rows: int, dimensions: int = 384) -> Embedded:
    tokens = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return Embedded(tokens[0], tokens, tuple((place, place + 1) for place in range(rows)))


def test_a_passage_that_meets_more_of_a_question_scores_higher() -> None:
    question = EMBEDDER.embed_whole("budget review april")
    all_, some, none = interaction(question, [codes("april budget of the review"), codes("review"), codes("laptop")])
    assert all_ > some > none


def test_words_that_stand_everywhere_are_not_kept() -> None:
    assert codes("the budget is in the review .") == codes("budget review")


def test_words_that_stand_everywhere_are_kept_where_there_are_no_others() -> None:
    assert len(codes("it is")) == 2 * EMBEDDER.dimensions // 8


def test_an_eighth_of_a_byte_is_kept_of_each_dimension() -> None:
    assert len(token_codes("xy", random_tokens(1, 2))) == 2 * 384 // 8


def test_a_passage_without_tokens_has_none() -> None:
    question = EMBEDDER.embed_whole("budget")
    alone = interaction(question, [codes("budget")])
    assert interaction(question, [b"", codes("budget"), b""]) == [0.0, *alone, 0.0]


def test_a_question_without_tokens_is_met_by_nothing() -> None:
    assert interaction(EMBEDDER.embed_whole(""), [codes("budget"), b""]) == [0.0, 0.0]


def test_no_passages_have_no_scores() -> None:
    assert interaction(EMBEDDER.embed_whole("budget"), []) == []


def test_no_bit_of_a_score_depends_on_the_passages_beside_it() -> None:
    question = random_tokens(2, 17)
    passages = [token_codes("x" * rows, random_tokens(seed, rows)) for seed, rows in enumerate(range(1, 90), start=3)]
    together = interaction(question, passages)
    assert together == [interaction(question, [each])[0] for each in passages]
    assert together[::-1] == interaction(question, passages[::-1])


def test_control_sums_of_fractions_do_depend_on_them() -> None:
    """The same products without whole numbers: the library adds in another order in another shape."""
    tokens = [random_tokens(seed, rows).tokens for seed, rows in enumerate(range(1, 90), start=3)]
    asked = random_tokens(2, 17).tokens
    together = np.vstack(tokens) @ asked.T
    assert not np.array_equal(together, np.vstack([each @ asked.T for each in tokens]))


def test_signs_tell_a_token_that_is_like_one_of_the_question_s_from_others() -> None:
    """As like as forms of a word are: a cosine of about 0.7."""
    question, noise = random_tokens(2, 12), random_tokens(3, 40).tokens
    scores = []
    for like in range(13):
        tokens = noise.copy()
        tokens[:like] = (question.tokens[:like] + tokens[:like]) / np.sqrt(2)
        scores += interaction(question, [token_codes("x" * 40, replace(question, tokens=tokens, offsets=OFFSETS))])
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] + 0.3


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    text = "the budget? pay-review, of Budget"
    weights = token_weights(text, EMBEDDER.embed_whole(text), {"budget": 2.0, "pay": 5.0, "review": 1.0})
    assert weights == [0, 2.0, 5.0, 0, 2.0]
    question = EMBEDDER.embed_whole("budget laptop")
    common, rare = weighed(Question(question, [1.0, 3.0]), [codes("budget"), codes("laptop")])
    assert rare > common


def test_the_pieces_of_a_word_count_as_the_word_does() -> None:
    pieces = Embedded(np.zeros(4), np.zeros((5, 4)), ((0, 4), (4, 7), (7, 8), (9, 11), (11, 12)))
    assert token_weights("escalate to.", pieces, {"escal": 3.0}) == [3.0, 3.0, 3.0, 0, 0]


def test_where_no_word_is_a_search_term_all_count_alike() -> None:
    assert token_weights("what is it?", EMBEDDER.embed_whole("what is it?"), {}) == [1.0, 1.0, 1.0]


def test_the_sentence_that_meets_the_question_scores_highest() -> None:
    question = Question(EMBEDDER.embed_whole("budget laptop"), [1.0, 1.0])
    text = "travel costs\nbook trains early. budget per laptop yearly. keep receipts."
    places = [(13, 31), (32, 57), (58, 72)]
    scores = sentence_interaction(question, codes(text), text, EMBEDDER.offsets(text), places)
    assert [text[start:end] for start, end in places][int(np.argmax(scores))] == "budget per laptop yearly."


def test_a_heading_speaks_for_each_sentence_below_it() -> None:
    question = Question(EMBEDDER.embed_whole("hotels 150"), [1.0, 1.0])
    text = "hotels\nat most 150 euros. keep receipts."
    places = [(7, 25), (26, 40)]
    first, second = sentence_interaction(question, codes(text), text, EMBEDDER.offsets(text), places)
    alone = sentence_interaction(question, codes(text[7:]), text[7:], EMBEDDER.offsets(text[7:]), [(0, 18), (19, 33)])
    assert first > second > alone[1]


def test_no_sentence_counts_where_codes_are_of_another_text() -> None:
    question = Question(EMBEDDER.embed_whole("hotels"), [1.0])
    assert sentence_interaction(question, codes("hotels"), "two words", ((0, 3), (4, 9)), [(0, 9)]) == [0.0]
