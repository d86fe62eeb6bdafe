"""What the instrument itself says of a parrot that is right there, with nothing in between."""

import numpy as np
import pytest
import torch

from engine.checkpoint import load
from engine.recordings import run, sound
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE, Sampling
from load_tests.callers.hearing import features, find
from load_tests.callers.holes import holes
from load_tests.callers.measure import CAME_BACK
from load_tests.callers.run import PARROT_DELAY_S
from load_tests.callers.script import Script

SECONDS = 7.0


def test_the_parrots_answer_is_found_after_its_own_delay_and_has_no_holes() -> None:
    script = Script.of(11, 0, SECONDS)
    silence = np.zeros(2 * SAMPLE_RATE, np.int16)
    pcm = np.concatenate([script.pcm[::2], silence])
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    answer = sound(list(run(load("parrot", torch.device("cpu")), frames, Sampling()))).reshape(-1)
    assert script.utterances
    for each in script.utterances:
        said, begin = each.sound[::2], round(each.at_s * SAMPLE_RATE)
        found = find(features(said), features(answer[begin : begin + len(said) + 2 * SAMPLE_RATE]))
        assert found.similarity > CAME_BACK + 0.1
        assert found.at_s == pytest.approx(PARROT_DELAY_S, abs=0.006)
        back = begin + round(found.at_s * SAMPLE_RATE)
        assert holes(said, answer[back : back + len(said)]) == ()
