"""`python -m engine.bench.peer_process`: times the reference package's step for `engine.bench.peer`.

A task comes as JSON on stdin; lines of JSON go to stdout.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from engine.bench.results import Quantiles
from engine.bench.sound import Sound
from engine.step.eager_runner import to_device, to_host

_REFERENCE = Path(__file__).parents[2] / ".reference"
_WARM_UP_STEPS = 20


def main() -> None:
    """Answer the task."""
    task = json.load(sys.stdin)
    torch.set_num_threads(task["threads"])
    if _REFERENCE.is_dir():
        sys.path.append(str(_REFERENCE))
    try:
        lm, mimi = _models(task)
    except ImportError as error:
        _say(error=f"the reference package cannot be imported ({error}); `make setup` installs it")
        return
    _say(name=f"moshi {version('moshi')}")
    for sessions in task["sessions"]:
        try:
            _say(sessions=sessions, step=asdict(_time(lm, mimi, sessions, task)))
        except torch.OutOfMemoryError:
            _say(error=f"not enough memory for {sessions} sessions")
            return


@torch.no_grad()
def _models(task: dict[str, Any]) -> tuple[Any, Any]:
    """The reference's `LMModel` and `MimiModel` with random weights."""
    from moshi.models import loaders

    dtype, device = getattr(torch, task["dtype"]), task["device"]
    lm = loaders.get_moshi_lm(None, task["lm"], device=device, dtype=dtype)
    mimi = loaders.get_mimi(None, task["mimi"], num_codebooks=task["codebooks"], device=device)
    for module in mimi.modules():
        if type(module).__name__ == "EuclideanCodebook":
            module.embedding_sum.normal_()
    return lm.eval(), mimi


@torch.no_grad()
def _time(lm: Any, mimi: Any, sessions: int, task: dict[str, Any]) -> Quantiles:
    """All sessions due in every step, so that the masks, which are on, never change."""
    from moshi.models import LMGen

    device, sound = torch.device(task["device"]), Sound(sessions)
    generator = LMGen(lm, support_out_of_sync=True)
    due = torch.ones(sessions, dtype=torch.bool, device=device)
    with ExitStack() as streams:
        streams.enter_context(generator.streaming(sessions))
        streams.enter_context(mimi.streaming(sessions))
        generator.set_exec_mask(due)
        mimi.set_exec_mask(due)

        def step(number: int) -> None:
            codes = mimi.encode(to_device(sound[number], device)[:, None])
            said = generator.step(codes[:, : task["heard"]])
            # Frames before the delay have no sound yet.
            to_host(mimi.decode(said[:, 1:].clamp(min=0))[:, 0])

        return Quantiles.of(_times(step, task["steps"]))


def _times(step: Callable[[int], None], steps: int) -> list[float]:
    for number in range(_WARM_UP_STEPS):
        step(number)
    times = []
    for number in range(steps):
        began = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - began)
    return times


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
