"""Every level of a benchmark, one after the other."""

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch

from engine.bench.counts import costliest, count
from engine.bench.floor import step_bytes
from engine.bench.full_steps import time_full_steps
from engine.bench.open_loop import StepFailed, Talkers, run_open_loop
from engine.bench.options import Options, positions
from engine.bench.rates import Rates
from engine.bench.results import Level
from engine.bench.sound import Sound
from engine.checkpoint import Model
from engine.device import release
from engine.memory import out_of_memory
from engine.step.build import make_runner, make_stt_runner
from engine.step.capacity import Variant
from engine.step.frames import Sampling
from engine.step.measure import FilledRunner


class Ladder:
    """Measures `model`, a `variant` of a checkpoint, beside the device's `rates`.

    seats: the most sessions that are let in; the others are refused. beside: sessions of another model on the
    device, which have joined and speak whenever those of this one do.
    """

    def __init__(
        self,
        model: Model,
        variant: Variant,
        options: Options,
        rates: Rates,
        seats: int,
        beside: Talkers | None = None,
    ) -> None:
        self._model = model
        self._variant = variant
        self._options = options
        self._rates = rates
        self._seats = seats
        self._beside = beside
        self._device = model.lm.device

    def climb(self) -> Iterator[Level]:
        """Each number of sessions, at each context."""
        for sessions in self._options.sessions:
            seats = min(sessions, self._seats)
            runner = self._runner(seats)
            for context in self._options.contexts:
                yield self.level(Level(sessions, context, seats), runner)
            del runner
            release(self._device)

    def level(self, level: Level, runner: FilledRunner | None) -> Level:
        """With all that is found with `runner`; None where memory does not hold one."""
        level = self._beside_floor(level)
        if runner is None:
            return self._without_memory(level)
        with _undisturbed(self._device):
            return self._measured(level, runner)

    def _runner(self, seats: int) -> FilledRunner | None:
        listens = self._model.lm.config.depformer is None
        try:
            return (make_stt_runner if listens else make_runner)(self._model, seats, self._variant.kv)
        except RuntimeError as error:
            if out_of_memory(error):
                return None
            raise

    def _beside_floor(self, level: Level) -> Level:
        mimi, lm = self._variant.models()
        frames = positions(level.context, lm.config.transformer.context)
        read = step_bytes(mimi, lm, self._variant.kv, level.seats, frames)
        return replace(level, read_bytes=read, floor_ms=1000 * read / self._rates.read)

    def _measured(self, level: Level, runner: FilledRunner) -> Level:
        sound, options = Sound(level.seats), self._options
        frames = positions(level.context, self._model.lm.config.transformer.context)
        renew = partial(_renew, runner, level.seats, frames)
        full_step = partial(runner.step, range(level.seats), sound[0])
        try:
            level = replace(level, full=time_full_steps(runner, sound, options.steps, renew))
            renew()
            talkers = Talkers(runner, sound, level.sessions)
            loop, *beside = run_open_loop(
                [talkers, *([self._beside] if self._beside else [])], options.seconds
            )
            level = replace(level, open_loop=loop, beside=beside[0] if beside else None)
            renew()
            level = replace(
                level, counts=count(full_step, self._device), peak_bytes=_peak_bytes(self._device)
            )
            if options.profile:
                level = replace(level, costs=costliest(full_step, self._device, options.trace_file))
        except StepFailed as error:
            return replace(level, error=str(error))
        except RuntimeError as error:
            if out_of_memory(error):
                return self._without_memory(level)
            raise
        return level

    @staticmethod
    def _without_memory(level: Level) -> Level:
        return replace(level, error=f"the device has not enough memory for {level.seats} sessions")


def _renew(runner: FilledRunner, sessions: int, frames: int) -> None:
    """Fresh sessions that have heard `frames` frames."""
    runner.join({slot: Sampling(seed=slot) for slot in range(sessions)})
    if frames:
        runner.fill_context(frames)


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Nothing is left to collect, and what exists is not walked while times are taken."""
    gc.collect()
    gc.freeze()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        yield
    finally:
        gc.unfreeze()


def _peak_bytes(device: torch.device) -> int:
    """The most that torch took of a GPU for a level; elsewhere the most that the process has taken so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
