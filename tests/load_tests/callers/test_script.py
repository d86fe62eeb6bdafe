import subprocess
from itertools import pairwise

import numpy as np
import pytest

from engine.errors import UserError
from load_tests.callers import speech
from load_tests.callers.script import Script
from worker.caller.microphone import SPEAKING_RATE

SECONDS = 20.0


def test_a_caller_says_the_same_in_every_process_and_nobody_else_does() -> None:
    first, again, other = Script.of(1, 0, SECONDS), Script.of(1, 0, SECONDS), Script.of(1, 1, SECONDS)
    assert np.array_equal(first.pcm, again.pcm)
    said = {each.text for each in first.utterances}
    assert said
    assert not said & {each.text for each in other.utterances}
    assert not said & {each.text for each in Script.of(2, 0, SECONDS).utterances}


def test_utterances_lie_where_they_say_one_after_the_other_and_are_over_in_time() -> None:
    script = Script.of(1, 0, SECONDS)
    assert len(script.pcm) == SECONDS * SPEAKING_RATE
    end = 0
    for each in script.utterances:
        begin = round(each.at_s * SPEAKING_RATE)
        assert begin > end
        assert not script.pcm[end:begin].any()
        end = begin + len(each.sound)
        assert np.array_equal(script.pcm[begin:end], each.sound)
    assert end < len(script.pcm)


def test_some_pauses_are_shorter_than_the_answer_and_some_are_long() -> None:
    said = Script.of(1, 0, 90.0).utterances
    pauses = [
        after.at_s - before.at_s - len(before.sound) / SPEAKING_RATE for before, after in pairwise(said)
    ]
    assert min(pauses) < 1.0
    assert max(pauses) > 2.4


def test_without_espeak_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(UserError, match="apt install espeak-ng"):
        speech.spoken("nobody has said this before", speech.Voice("en-us", 50, 150))
