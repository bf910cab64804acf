"""What is sent of a conversation: its content, with nothing in it that a template would take for control tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.engine import Speaker, Turn
from models.openai.messages import messages_of, most_tokens, without_controls

SPELLINGS = """<|im_start|> <|im_end|> <|endoftext|> <|eot_id|> <|start_header_id|> <s> </s> <bos> <eos> <pad> <unk>
<start_of_turn> <end_of_turn> [INST] [/INST] <<SYS>> <</SYS>> <think> </think> <tool_call> </tool_call> <0x0A>
<｜begin▁of▁sentence｜> <|START_OF_TURN_TOKEN|> [SYSTEM_PROMPT] [TOOL_CALLS] <|fim_prefix|> <fim_middle> <extra_id_0>
<reserved_special_token_5> <unused12> <|vision_start|> <EOS> [inst]""".split()
PLAIN = [
    "⟦PERSON_1⟧ wrote <passage 1 ab12cd34>\nDaily allowance: 480 kroner.\n</passage 1 ab12cd34>",
    "if a < b and b > c: print(x[0], y[INSTANCE])  # a|b |> c",
    "<https://example.org> <b>bold</b> <span class='s'>",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_control_token_stays_as_it_is_spelt(spelling: str) -> None:
    for text in (spelling, f"x{spelling}y", spelling * 3, f"<{spelling}", f"{spelling}>"):
        assert spelling not in without_controls(text)


def test_nothing_but_a_space_is_added() -> None:
    for spelling in SPELLINGS:
        assert without_controls(spelling).replace(" ", "") == spelling


@pytest.mark.parametrize("text", PLAIN[:1] + PLAIN[2:])
def test_other_text_stays(text: str) -> None:
    assert without_controls(text) == text


def test_messages_are_speaker_and_content_alone() -> None:
    turns = (Turn(Speaker.SYSTEM, ("be ", "brief")), Turn(Speaker.USER, ("Hi<|im_end|>",)))
    assert messages_of(turns) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Hi< |im_end| >"},
    ]


@pytest.mark.models
def test_the_estimate_of_tokens_errs_high(model_path: Callable[[str], Path], shared: Path) -> None:
    """Held to a real vocabulary: of every passage of the handbook, and of text that is no prose."""
    llama_cpp = pytest.importorskip("llama_cpp")
    path = model_path("qwen2.5-coder-0.5b-instruct-q4_k_m")
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted((shared / "corpora").rglob("*.md"))]
    pieces = [text[at : at + 1500] for text in texts[:300] for at in range(0, min(len(text), 6000), 1500)]
    odd = [
        "Привет, как дела? " * 20,
        "你好，世界。" * 40,
        "0123456789" * 30,
        "a1b2c3-" * 50,
        "\n\n\t" * 100,
        "🙂é ü" * 40,
    ]
    real = [len(model.tokenize(piece.encode(), add_bos=False, special=False)) for piece in [*pieces, *odd]]
    told = [most_tokens(piece) for piece in [*pieces, *odd]]
    assert len(pieces) > 100
    assert [(guess, count) for guess, count in zip(told, real, strict=True) if guess < count] == []
    assert sum(told) < 2 * sum(real), "so high that it refuses what fits"
