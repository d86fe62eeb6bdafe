"""Stage 2: is a replayed step the eager one, do neighbours matter, and where does its time go?"""

import gc
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.bench.counts import costliest, count
from engine.bench.full_steps import time_full_steps
from engine.bench.sound import Sound
from engine.checkpoint import Model, load
from engine.step.cuda_graph import CudaGraphs, Work
from engine.step.eager_runner import EagerRunner
from engine.step.frames import OwnFrame, Sampling
from engine.step.graph_runner import GraphRunner
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep
from load_tests.gpu.notes import Notes

_FEW_SLOTS = 4
_FRAMES = 25
_SLOTS = 32
_TIMED = (1, 16, 32)
_STEPS = 1000
_BATCHES = (1, 4, 16, 32)
_CONTEXT = 64


def measure(notes: Notes, device: torch.device, checkpoint: str) -> int:
    """0 if graphs say what eager steps do and no neighbour is heard."""
    began = time.perf_counter()
    model = load(checkpoint, device)
    notes.add("loaded", s=time.perf_counter() - began, dtype=str(model.lm.dtype))
    same = _compare(notes, model, device)
    apart = _isolation(notes, model, device)
    _batch_sizes(notes, model, device)
    _steps(notes, model, device)
    return 0 if same and apart else 1


class TimedGraphs:
    """Notes what each capture takes; without CUDA it runs the work again, which tries this script out."""

    def __init__(self, device: torch.device, notes: Notes | None = None) -> None:
        self._graphs = CudaGraphs(device) if device.type == "cuda" else None
        self._notes = notes

    def capture(self, work: Work) -> Work:
        if self._graphs is None:
            return work
        before, began = torch.cuda.mem_get_info()[0], time.perf_counter()
        replay = self._graphs.capture(work)
        if self._notes is not None:
            taken = before - torch.cuda.mem_get_info()[0]
            self._notes.add("captured", s=time.perf_counter() - began, mib=taken / 2**20)
        return replay

    def wait(self) -> None:
        if self._graphs is not None:
            self._graphs.wait()


def _graph_runner(model: Model, slots: int, device: torch.device, notes: Notes | None = None) -> GraphRunner:
    return GraphRunner(MoshiStep(model.mimi, model.lm, slots), device, TimedGraphs(device, notes))


def _compare(notes: Notes, model: Model, device: torch.device) -> bool:
    """Eager and replayed steps of the same sessions; without rows to fill up all bits must be the same."""
    exact = True
    # Without CUDA nothing runs rows of slot -1.
    for rows in (1, 2, 4, 3) if device.type == "cuda" else (1, 2, 4):
        eager = EagerRunner(MoshiStep(model.mimi, model.lm, _FEW_SLOTS), device)
        answers = [_converse(runner, rows) for runner in (eager, _graph_runner(model, _FEW_SLOTS, device))]
        tokens = _agreement(*(np.stack([answer.codes for answer in run]) for run in answers))
        sound = [np.stack([answer.pcm for answer in run]).astype(np.int32) for run in answers]
        difference = int(abs(sound[0] - sound[1]).max())
        notes.add("graph and eager", rows=rows, equal_codes=tokens, largest_pcm_difference=difference)
        exact &= rows == 3 or (tokens == 1.0 and difference == 0)
    return exact


def _converse(runner: EagerRunner, rows: int) -> list[StepOutput]:
    runner.join({slot: Sampling(seed=slot) for slot in range(rows)})
    sound = Sound(rows)
    # For half of the frames the first session is given its words.
    own = [OwnFrame(sound[_FRAMES][0], 5), *[None] * (rows - 1)]
    return [runner.step(range(rows), sound[at], own if at // 2 % 2 else ()) for at in range(_FRAMES)]


def _agreement(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    return float((one == other).mean())


def _isolation(notes: Notes, model: Model, device: torch.device) -> bool:
    """One session among NaN and among its like: the same to the last bit."""
    answers: list[list[Tensor]] = []
    for poisoned in (False, True):
        step = MoshiStep(model.mimi, model.lm, _FEW_SLOTS)
        slots = torch.arange(_FEW_SLOTS, device=device)
        for slot in range(_FEW_SLOTS):
            step.join(slot, Sampling(seed=slot))
        step.prime(slots)
        sound = Sound(_FEW_SLOTS)
        said = []
        for number in range(_FRAMES):
            pcm = torch.from_numpy(sound[number]).to(device).float() / 32768
            if poisoned:
                pcm[1:] = float("nan")
                for tensor in step.state.tensors():
                    if tensor.is_floating_point():
                        tensor[1:] = float("nan")
            out = step(slots, pcm)
            said += [out.codes[0], out.text[0], out.pcm[0]]
        answers.append(said)
    equal = all(torch.equal(one, other) for one, other in zip(*answers, strict=True))
    notes.add("isolation", equal_bits=equal, frames=_FRAMES)
    return equal


@torch.inference_mode()
def _batch_sizes(notes: Notes, model: Model, device: torch.device) -> None:
    """The text logits of one session that hears given tokens, in batches of several sizes."""
    lm = model.lm
    generator = torch.Generator().manual_seed(0)
    shape = (_CONTEXT, 1 + lm.config.n_q, 1)
    tokens = torch.randint(0, lm.config.card, shape, generator=generator).to(device)
    logits = {}
    for rows in _BATCHES:
        state, slots = lm.new_state(rows), torch.arange(rows, device=device)
        state.reset(slots)
        said = [lm(now.expand(rows, -1, 1), state, slots).text_logits[0, 0] for now in tokens]
        # bfloat16 has no cosine between 0.996 and 1.
        logits[rows] = torch.stack(said).float()
        # The next and larger one would not fit beside it.
        del state
    alone = logits[1]
    for rows, among in logits.items():
        cosine = float(torch.cosine_similarity(alone, among, dim=-1).min())
        agreement = float((alone.argmax(-1) == among.argmax(-1)).float().mean())
        error = float((alone - among).abs().max())
        notes.add("batch size", rows=rows, least_cosine=cosine, same_top_1=agreement, largest_error=error)


def _steps(notes: Notes, model: Model, device: torch.device) -> None:
    gc.collect()
    runner = _graph_runner(model, _SLOTS, device, notes)
    context = model.lm.config.transformer.context

    def time_steps(kind: str, sessions: int) -> None:
        renew: Callable[[], None] = partial(_renew, runner, sessions, context)
        steps = time_full_steps(runner, Sound(sessions), _STEPS if device.type == "cuda" else 10, renew).step
        notes.add(kind, sessions=sessions, p50_ms=steps.p50, p99_ms=steps.p99, max_ms=steps.max)

    for sessions in _TIMED:
        time_steps("step", sessions)
    for sessions in _TIMED:
        step = partial(runner.step, range(sessions), Sound(sessions)[0])
        counts = count(step, device)
        notes.add("launches", sessions=sessions, by_host=counts.host_launches, kernels=counts.kernels)
        for cost in costliest(step, device, notes.folder / f"trace-{sessions}.json"):
            notes.add("cost", sessions=sessions, ms=cost.ms, calls=cost.calls, name=cost.name)
    # The benchmark profiles each level before it times the next: does that make a step slower?
    time_steps("step after profiling", _TIMED[0])


def _renew(runner: GraphRunner, sessions: int, context: int) -> None:
    runner.join({slot: Sampling(seed=slot) for slot in range(sessions)})
    runner.fill_context(context)
