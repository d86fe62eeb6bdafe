"""The stages of a turn, from what was asked of the models and what the caller heard."""

import numpy as np
import pytest

from load_tests.hybrid.model_server import ANSWER_HZ, Asked
from load_tests.hybrid.stages import is_answer, table, turn

AT = np.arange(480) / 24_000


def test_each_stage_lies_between_what_one_model_did_and_what_the_next_was_asked() -> None:
    asked = [
        Asked("transcriptions", 10.1, 10.2, "half of it"),
        Asked("chat", 10.21, 10.22, "half of it"),
        Asked("transcriptions", 10.3, 10.31, "all of it"),
        Asked("chat", 10.33, 10.34, "all of it"),
        Asked("speech", 10.4, 10.41, "an answer"),
        Asked("speech", 10.6, 10.61, "its second sentence"),
    ]
    seconds = turn(10.0, asked, heard_at=10.5).seconds
    assert {name: round(each, 3) for name, each in seconds.items()} == {
        "transcript": 0.3,
        "llm": 0.02,
        "voice": 0.06,
        "heard": 0.09,
        "all": 0.5,
    }
    assert "| voice's first sound -> heard by the caller | 90 | 90 |" in table([turn(10.0, asked, 10.5)])


def test_a_turn_without_an_answer_is_no_turn() -> None:
    with pytest.raises(ValueError, match="nobody asked for speech"):
        turn(10.0, [Asked("transcriptions", 1, 1, ""), Asked("chat", 1, 1, "")], heard_at=10.5)


def test_the_answer_is_told_from_moshi_by_its_hum() -> None:
    hum = (6000 * np.sin(2 * np.pi * ANSWER_HZ * AT)).astype(np.int16)
    assert is_answer(hum)
    assert not is_answer(hum // 100)
    assert not is_answer((6000 * np.sin(2 * np.pi * 700 * AT)).astype(np.int16))
