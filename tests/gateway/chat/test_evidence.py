"""Evidence moves the decision the way it should."""

import pytest

from gateway.chat.evidence import WEIGHTS, Signals, measure, probability, weights_of
from gateway.chat.support import check_support

STRONG = Signals(similarity=0.7, holds=0.9, stands=0.9, support=1.0)
WEAK = Signals(similarity=0.3, holds=0.2, stands=0.4, support=0.0)


@pytest.mark.parametrize("model", [*WEIGHTS, "a model nobody measured"])
def test_strong_evidence_answers_and_weak_declines(model: str) -> None:
    weights = weights_of(model)
    assert probability(STRONG, weights) >= weights.threshold
    assert probability(WEAK, weights) < weights.threshold


def test_support_is_the_share_of_supported_sentences() -> None:
    sentences = check_support("Meals may cost 45 EUR a day. Parking costs 900 EUR.", ["Meals may cost 45 EUR a day."])
    assert measure(sentences, similarity=0.5, holds=0.5, stands=0.5).support == 0.5


def test_an_answer_without_sentences_has_no_support() -> None:
    assert measure([], similarity=0.5, holds=0.5, stands=0.5).support == 0.0
