"""Stage 1: are the kernels right on a GPU, and how near do they come to what memory allows?"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from engine.bench.rates import measure_rates
from engine.checkpoint import load_mimi, outline
from engine.models.attention import Window, ring_attention
from engine.models.config import KvPrecision, LMConfig, TransformerConfig
from engine.models.float8 import Float8Linear, runs_float8
from engine.models.linear import AnyLinear, Int8Linear, Linear, linear
from engine.models.transformer import Transformer, gated_width
from engine.step.filled import pretend_filled
from engine.step.frames import FRAME_SAMPLES
from load_tests.gpu.notes import Notes
from load_tests.gpu.timing import replay_s

_ROWS = (1, 2, 4, 8, 16, 32, 80)
_SESSIONS = (1, 4, 16, 32)
_CODEC_ROWS = (1, 16, 32, 80)
_NODES = 1000
_TESTS_CAP_S = 300
# More than caches hold, so that what is timed is memory.
_AROUND = 2**28
_CHECKOUT = Path(__file__).parents[2]


def measure(notes: Notes, device: torch.device, checkpoint: str) -> int:
    """0 if all kernels agree with their twins."""
    status = _test(notes) if device.type == "cuda" else 0
    rates = measure_rates(device)
    notes.add("memory", read_gb_s=rates.read / 1e9, copy_gb_s=rates.copy / 1e9)
    one = torch.zeros(1, device=device)
    node = replay_s(lambda: [one.add_(1) for _ in range(_NODES)], device) / _NODES
    notes.add("node of a graph", us=1e6 * node)
    config = outline(checkpoint, torch.bfloat16)[1].config
    for name, (outputs, inputs) in _shapes(config).items():
        _product(notes, name, outputs, inputs, device, rates.read)
    for kv in get_args(KvPrecision):
        _attention(notes, config.transformer, kv, device, rates.read)
    _codec(notes, checkpoint, device)
    return status


def _test(notes: Notes) -> int:
    """The tests of the kernels, compiled for this GPU; their own configuration asks for more than is here."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={_CHECKOUT}", "--tb=short"]
    command += [
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-o",
        f"pythonpath={_CHECKOUT}",
        "tests/kernels",
        # It needs no GPU, and has been run before.
        "--ignore=tests/kernels/test_compile.py",
    ]
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    output = notes.folder / "kernels-tests.txt"
    with output.open("w") as file:
        try:
            status = subprocess.run(
                command, cwd=_CHECKOUT, env=environment, stdout=file, timeout=_TESTS_CAP_S
            ).returncode
        except subprocess.TimeoutExpired:
            status = 124
    notes.add("tests", status=status, last=(output.read_text().splitlines() or [""])[-1])
    return status


def _shapes(config: LMConfig) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the products that read the most."""
    dim, depformer = config.transformer.dim, config.depformer
    assert depformer is not None, "Moshi speaks"
    hidden = gated_width(dim, config.transformer.feedforward)
    return {
        "queries, keys, values": (3 * dim, dim),
        "attention out": (dim, dim),
        "gate in": (2 * hidden, dim),
        "gate out": (dim, hidden),
        "text": (config.text_card_out, dim),
        "depformer in": (depformer.run * depformer.dim, dim),
        "depformer gate out": (depformer.dim, gated_width(depformer.dim, depformer.feedforward[0])),
    }


def _product(notes: Notes, name: str, outputs: int, inputs: int, device: torch.device, read: float) -> None:
    weight = torch.randn(outputs, inputs, device=device).mul_(inputs**-0.5).bfloat16()
    kinds: list[type[AnyLinear]] = [Linear, Int8Linear]
    if runs_float8(device):
        kinds.append(Float8Linear)
    for kind in kinds:
        modules = _around(kind, weight)
        for rows in _ROWS:
            x = torch.randn(rows, inputs, device=device).bfloat16()
            took = {kind.__name__: replay_s(lambda: [module(x) for module in modules], device)}  # noqa: B023
            if kind is Linear:
                took["torch"] = replay_s(lambda: [linear(x, module.weight) for module in modules], device)  # noqa: B023
            for by, seconds in took.items():
                each = seconds / len(modules)
                floor = modules[0].weight.nbytes / read
                notes.add("product", name=name, rows=rows, by=by, us=1e6 * each, of_floor=each / floor)


def _around(kind: type[AnyLinear], weight: Tensor) -> list[AnyLinear]:
    """So many products by the same weights that none of them is left in a cache."""
    with torch.device("meta"):
        modules = [kind(weight.shape[1], weight.shape[0]) for _ in range(_copies(weight))]
    for module in modules:
        stored, scale = (weight.clone(), None) if kind is Linear else kind.quantised(weight)
        module.weight = torch.nn.Parameter(stored, requires_grad=False)
        module.weight_scb = None if scale is None else torch.nn.Parameter(scale, requires_grad=False)
    return modules


def _copies(weight: Tensor) -> int:
    return 1 + _AROUND // weight.nbytes if weight.is_cuda else 1


def _attention(
    notes: Notes, config: TransformerConfig, kv: KvPrecision, device: torch.device, read: float
) -> None:
    """One layer over full contexts, of which slots take turns."""
    slots, context = max(_SESSIONS), config.context
    with torch.device("meta"):
        layer = Transformer(replace(config, layers=1))
    state = layer.new_state(slots, device, torch.bfloat16, kv)
    pretend_filled(state, context)
    (ring,) = state.rings
    nbytes = sum(tensor.nbytes for tensor in ring.tensors()) / slots
    for rows in _SESSIONS:
        groups = torch.split(torch.arange(slots, device=device), rows)
        positions = torch.full((rows, 1), context, device=device)
        query = torch.randn(rows, 1, config.heads, config.head_dim, device=device).bfloat16()
        window = Window(positions, state.capacity)
        took = replay_s(
            lambda: [ring_attention(query, ring, group, window) for group in groups],  # noqa: B023
            device,
        ) / len(groups)
        notes.add("attention", kv=kv, rows=rows, us=1e6 * took, of_floor=took * read / (rows * nbytes))


def _codec(notes: Notes, checkpoint: str, device: torch.device) -> None:
    mimi = load_mimi(checkpoint, device)
    state = mimi.new_state(max(_CODEC_ROWS))
    state.reset(torch.arange(max(_CODEC_ROWS), device=device))
    for rows in _CODEC_ROWS:
        slots = torch.arange(rows, device=device)
        pcm = torch.randn(rows, FRAME_SAMPLES, device=device).mul_(0.1)
        codes = torch.zeros(rows, 8, device=device, dtype=torch.int64)
        for way, work in {
            "encode": partial(mimi.encode, pcm, state, slots, 8),
            "decode": partial(mimi.decode, codes, state, slots),
        }.items():
            notes.add("codec", way=way, rows=rows, us=1e6 * replay_s(work, device))
