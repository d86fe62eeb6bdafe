"""Sessions whose words are given to them against the reference's `LMModel`, fed all tokens at once.

What is given is in its sequence as if the model had said it, and what the session says after it is what the
reference finds likeliest there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.step.eager_runner import EagerRunner
from engine.step.frames import OwnFrame
from engine.step.moshi_step import MoshiStep
from tests.parity.reference import CPU, our_lm, our_mimi, reference_lm, reference_mimi, sound
from tests.parity.test_step import GREEDY

# More than twice the context of the language model.
FRAMES = 45
WORDS = {0: [range(0, 3), range(20, 41)], 1: [], 2: [range(7, 8), range(9, 12), range(30, 36)]}
"""The frames that are given, by slot, as the session counts them."""
JOINS = {0: 4, 1: 0, 2: 9}


def pcm(samples: Tensor) -> Any:
    return (samples * 2**15).clamp(-32768, 32767).to(torch.int16).numpy()


def given_in(slot: int, frame: int) -> bool:
    return any(frame in words for words in WORDS[slot])


class Said:
    """All tokens of a session, frame by frame, and what it was to say."""

    def __init__(self) -> None:
        self.tokens: list[list[int]] = []
        self.own: list[OwnFrame | None] = []


@pytest.fixture
def reference() -> Any:
    return reference_lm(seed=1)


def converse(reference: Any, codec: Any, folder: Path, given: bool = True) -> dict[int, Said]:
    """Sessions that join at different times, as one step a frame has them."""
    mimi = our_mimi(codec.state_dict(), folder)
    runner = EagerRunner(MoshiStep(mimi, our_lm(reference.state_dict(), folder), 3), CPU)
    heard, spoken = sound(3, FRAMES + 10), sound(3, FRAMES + 10, seed=5)
    said: dict[int, Said] = {}
    for time in range(FRAMES + max(JOINS.values())):
        for slot, joins in JOINS.items():
            if time == joins:
                runner.join({slot: GREEDY})
                said[slot] = Said()
        due = [slot for slot in said if len(said[slot].tokens) < FRAMES]
        frames = {slot: len(said[slot].tokens) for slot in due}
        own: Sequence[OwnFrame | None] = [
            OwnFrame(pcm(spoken[frames[slot], slot]), 4 + frames[slot])
            if given and given_in(slot, frames[slot])
            else None
            for slot in due
        ]
        out = runner.step(due, np.stack([pcm(heard[frames[slot], slot]) for slot in due]), own)
        rows = np.concatenate([out.text[:, None], out.codes, out.user_codes], axis=1).tolist()
        for slot, row, frame in zip(due, rows, own, strict=True):
            said[slot].tokens.append(row)
            said[slot].own.append(frame)
    return said


@torch.no_grad()
def test_after_words_that_were_given_it_says_what_the_reference_would(reference: Any, tmp_path: Path) -> None:
    codec = reference_mimi(seed=1)
    for slot, session in converse(reference, codec, tmp_path).items():
        tokens = torch.tensor(session.tokens).T[None]
        out = reference(tokens)
        likeliest = torch.cat([out.text_logits.argmax(-1), out.logits.argmax(-1)], dim=1)
        # For the last acoustic codes the reference would need one step more.
        compared = 0
        for frame in range(FRAMES - 1):
            if given_in(slot, frame):
                continue
            # Acoustic codes are drawn after the next text and semantic code, which were then replaced.
            channels = 2 if given_in(slot, frame + 1) else 9
            assert tokens[0, :channels, frame].tolist() == likeliest[0, :channels, frame].tolist()
            compared += channels
        assert compared > 9 * FRAMES / 3
        assert len({tuple(row[:9]) for row in session.tokens}) > FRAMES / 2


@torch.no_grad()
def test_what_is_given_is_heard_as_the_reference_hears_it(reference: Any, tmp_path: Path) -> None:
    """Each time it begins anew."""
    codec = reference_mimi(seed=1)
    session = converse(reference, codec, tmp_path)[2]
    for words in WORDS[2]:
        with codec.streaming(1):
            for frame in words:
                own = session.own[frame]
                assert own is not None
                heard = codec.encode(torch.from_numpy(own.pcm / np.float32(2**15))[None, None])
                assert session.tokens[frame][:9] == [own.text_token, *heard[0, :, 0].tolist()]


def test_neighbours_say_what_they_say_without_it(reference: Any, tmp_path: Path) -> None:
    codec = reference_mimi(seed=1)
    with_words = converse(reference, codec, tmp_path)
    without = converse(reference, codec, tmp_path, given=False)
    assert with_words[1].tokens == without[1].tokens
    assert with_words[0].tokens != without[0].tokens
