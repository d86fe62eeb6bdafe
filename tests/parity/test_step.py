"""The whole step against the reference's `LMGen` and Mimi, token for token, over two context lengths and
more.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.noise import gumbel_noise
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep
from tests.parity.reference import assert_close, our_lm, our_mimi, reference_lm, reference_mimi, sound

FRAMES = 45  # The language model's context is 20 frames, Mimi's 5.
GREEDY = Sampling(temperature=0.0, temperature_text=0.0)


class Answer(NamedTuple):
    text: int
    codes: list[int]
    user_codes: list[int]
    pcm: Tensor


class Models(NamedTuple):
    reference_lm: Any
    reference_mimi: Any
    lm: LM
    mimi: Mimi

    def step(self, slots: int) -> MoshiStep:
        return MoshiStep(self.mimi, self.lm, slots)

    @torch.no_grad()
    def alone(self, frames: Iterable[Tensor], **sampling: Any) -> list[Answer]:
        """What the reference answers to one caller's frames, its first step made before they come."""
        from moshi.models import LMGen

        generator = LMGen(self.reference_lm, check=True, support_out_of_sync=True, **sampling)
        answers = []
        with generator.streaming(1), self.reference_mimi.streaming(1):
            generator.step(torch.zeros(1, 8, 1, dtype=torch.int64))
            for frame in frames:
                codes = self.reference_mimi.encode(frame[None, None])
                out = generator.step(codes)
                pcm = self.reference_mimi.decode(out[:, 1:])
                text, *said = out[0, :, 0].tolist()
                answers.append(Answer(text, said, codes[0, :, 0].tolist(), pcm[0, 0]))
        return answers


@pytest.fixture
def models(tmp_path: Path) -> Models:
    lm, mimi = reference_lm(seed=1), reference_mimi(seed=1)
    return Models(lm, mimi, our_lm(lm.state_dict(), tmp_path), our_mimi(mimi.state_dict(), tmp_path))


def run(step: MoshiStep, slots: Sequence[int], frames: Tensor) -> list[Answer]:
    """One step for `slots`; frames: [B, 1920]."""
    out = step(torch.tensor(slots), frames)
    rows = zip(out.text.tolist(), out.codes.tolist(), out.user_codes.tolist(), out.pcm, strict=True)
    return [Answer(*row) for row in rows]


def join(step: MoshiStep, slot: int, sampling: Sampling = GREEDY) -> None:
    step.join(slot, sampling)
    step.prime(torch.tensor([slot]))


def assert_same(answers: list[Answer], expected: list[Answer]) -> None:
    assert [a[:3] for a in answers] == [e[:3] for e in expected]
    assert_close(torch.stack([a.pcm for a in answers]), torch.stack([e.pcm for e in expected]))


def test_greedy_tokens_and_sound_are_those_of_the_reference(models: Models) -> None:
    frames = sound(3, FRAMES)
    step = models.step(3)
    for slot in range(3):
        join(step, slot)
    answers = [run(step, [0, 1, 2], frame) for frame in frames]
    for slot in range(3):
        expected = models.alone(frames[:, slot], use_sampling=False)
        assert_same([a[slot] for a in answers], expected)
        assert len({tuple(e.codes) for e in expected}) > 5


def test_sessions_that_join_leave_and_stall_are_as_alone(models: Models) -> None:
    frames = sound(5, 60, seed=1)
    begins = {0: [0], 2: [4, 33], 3: [11], 4: [13, 40]}
    generator = torch.Generator().manual_seed(2)
    step = models.step(5)
    session: dict[int, int] = {}
    histories: dict[tuple[int, int], list[tuple[Tensor, Answer]]] = {}
    for t, frame in enumerate(frames):
        for slot, times in begins.items():
            if t in times:
                join(step, slot)
                session[slot] = t
        due = [slot for slot in session if torch.rand((), generator=generator) > 0.3]
        due = [due[i] for i in torch.randperm(len(due), generator=generator).tolist()]
        if due:
            for slot, answer in zip(due, run(step, due, frame[due]), strict=True):
                histories.setdefault((slot, session[slot]), []).append((frame[slot], answer))
    assert len(histories) == 6
    for history in histories.values():
        expected = models.alone([frame for frame, _ in history], use_sampling=False)
        assert_same([answer for _, answer in history], expected)


def test_sampled_tokens_are_those_of_the_reference_with_the_same_noise(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = sound(1, FRAMES, seed=2)
    seed = 2**32 - 5
    draws = iter(range(10**6))

    def with_noise_by_token(probabilities: Tensor, k: int) -> Tensor:
        frame, channel = divmod(next(draws), 9)
        noise = gumbel_noise(
            torch.tensor([seed]), torch.tensor([frame]), range(channel, channel + 1), probabilities.shape[-1]
        )
        # The reference divides by exponential draws, of which Gumbel ones are minus the logarithm.
        kept = probabilities >= probabilities.topk(k, dim=-1).values[..., -1:]
        return (kept * probabilities * noise[0, 0].exp()).argmax(dim=-1, keepdim=True)

    monkeypatch.setattr("moshi.utils.sampling.sample_top_k", with_noise_by_token)
    expected = models.alone(frames[:, 0], temp=0.9, top_k=12, temp_text=0.6, top_k_text=7)
    step = models.step(2)
    join(step, 1, Sampling(temperature=0.9, top_k=12, temperature_text=0.6, top_k_text=7, seed=seed))
    answers = [run(step, [1], frame)[0] for frame in frames]
    assert_same(answers, expected)
    greedy = models.alone(frames[:, 0], use_sampling=False)
    assert [a[:2] for a in answers] != [g[:2] for g in greedy]
