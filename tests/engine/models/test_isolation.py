"""What the other callers are and how many does not change a bit of a session (on CPU, in float32)."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from engine.checkpoint import Model, load
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiOutput, MoshiStep

CALLERS = 9


@pytest.fixture(scope="module", params=["parrot", "random:tiny"])
def model(request: pytest.FixtureRequest) -> Model:
    return load(request.param, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sounds(frames: int) -> Tensor:
    """Noise at many levels and voice-like buzz, float32 [callers, frames, 1920]."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(CALLERS, frames * 1920, generator=generator)
    level = 10 ** (-3 * torch.rand(CALLERS, frames, 1, generator=generator))
    time = torch.arange(frames * 1920) / 24_000
    pitch = torch.cumsum((110 + 60 * torch.sin(time * 2.1)) / 24_000, dim=0) * 2 * torch.pi
    buzz = sum(torch.sin(pitch * harmonic) / harmonic for harmonic in range(1, 16)) * (
        torch.sin(time * 5) > 0
    )
    quiet = noise[1::2] * 1e-3 + buzz * torch.linspace(0.02, 0.3, CALLERS // 2)[:, None]
    sound = noise.view(CALLERS, frames, 1920) * level
    sound[1::2] = quiet.view(-1, frames, 1920)
    return sound


def join(step: MoshiStep, slot: int, caller: int) -> None:
    step.join(slot, Sampling(seed=caller))
    step.prime(torch.tensor([slot]))


def row(out: MoshiOutput, index: int) -> list[Tensor]:
    return [part[index] for part in out]


def test_a_session_is_the_same_to_the_last_bit_in_any_batch_and_slot(model: Model) -> None:
    frames = 30
    sound = sounds(frames)
    alone = []
    for caller in range(CALLERS):
        step = MoshiStep(model.mimi, model.lm, 1)
        join(step, 0, caller)
        alone.append([row(step(torch.tensor([0]), sound[caller, t][None]), 0) for t in range(frames)])
    generator = torch.Generator().manual_seed(1)
    step = MoshiStep(model.mimi, model.lm, CALLERS + 2)
    slot = torch.randperm(CALLERS + 2, generator=generator)[:CALLERS].tolist()
    for caller in range(CALLERS):
        join(step, slot[caller], caller)
    done = [0] * CALLERS
    sizes = set()
    while min(done) < frames:
        waiting = [caller for caller in range(CALLERS) if done[caller] < frames]
        size = int(torch.randint(1, len(waiting) + 1, (), generator=generator))
        due = [waiting[i] for i in torch.randperm(len(waiting), generator=generator)[:size].tolist()]
        sizes.add(size)
        out = step(torch.tensor([slot[c] for c in due]), torch.stack([sound[c, done[c]] for c in due]))
        for index, caller in enumerate(due):
            for ours, expected in zip(row(out, index), alone[caller][done[caller]], strict=True):
                assert torch.equal(ours, expected)
            done[caller] += 1
    assert sizes == set(range(1, CALLERS + 1))
    assert len({code for answers in alone for _, _, codes, _ in answers for code in codes.tolist()}) > 20


def test_neighbours_full_of_nan_change_no_bit(model: Model) -> None:
    frames = 12
    sound = sounds(frames)[:3]
    slots = torch.tensor([0, 1, 2])
    kept: list[list[list[Tensor]]] = []
    for poison in (False, True):
        step = MoshiStep(model.mimi, model.lm, 4)
        for slot in range(3):
            join(step, slot, slot)
        answers = []
        for t in range(frames):
            pcm = sound[:, t].clone()
            if poison:
                for tensor in step.state.tensors():
                    if tensor.is_floating_point():
                        tensor[[0, 2, 3]] = float("nan")
                pcm[[0, 2]] = float("nan")
            answers.append(row(step(slots, pcm), 1))
        kept.append(answers)
    for clean, poisoned in zip(*kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(clean, poisoned, strict=True))


def test_all_that_a_session_leaves_behind_is_in_the_tensors_of_the_state(model: Model) -> None:
    """Copied from slot to slot, a session goes on there as if nothing had happened."""
    sound = sounds(8)[0]
    step = MoshiStep(model.mimi, model.lm, 3)
    join(step, 2, 5)
    for t in range(5):
        step(torch.tensor([2]), sound[t][None])
    for tensor in step.state.tensors():
        tensor[0] = tensor[2]
    for t in range(5, 8):
        there = row(step(torch.tensor([2]), sound[t][None]), 0)
        here = row(step(torch.tensor([0]), sound[t][None]), 0)
        assert all(torch.equal(a, b) for a, b in zip(there, here, strict=True))


def test_a_slot_that_nobody_reset_gives_itself_away(model: Model) -> None:
    step = MoshiStep(model.mimi, model.lm, 1)
    assert step(torch.tensor([0]), torch.zeros(1, 1920)).pcm.isnan().any()
