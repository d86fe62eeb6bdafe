"""A benchmark from its options to its files."""

import json
from collections.abc import Callable
from dataclasses import replace

import torch

from engine.bench.ladder import Ladder
from engine.bench.machine import Machine
from engine.bench.options import Options, positions
from engine.bench.peer import measure_peer
from engine.bench.plot import check_plotting, plot
from engine.bench.rates import measure_rates, release
from engine.bench.results import Report
from engine.bench.table import HEADER, comparison, heading, row
from engine.checkpoint import load
from engine.memory import Room, enough_memory
from engine.output_files import check_writable
from engine.step.capacity import Variant


def run(variant: Variant, device: torch.device, options: Options, say: Callable[[str], None]) -> None:
    """Measure every level of `options`; each is told and written as soon as it is known.

    Raises SettingError and CheckpointError, before anything is measured.
    """
    check_writable(options.json_file, options.plot_file, options.trace_file)
    if options.plot_file is not None:
        check_plotting()
    mimi, lm = variant.models()
    capacity = lm.config.transformer.context
    for context in options.contexts:
        positions(context, capacity)
    room = Room.on(device)
    seats = max(1, room.slots(variant))
    with enough_memory(lambda: room.too_little_for(variant, 1)):
        model = load(variant.checkpoint, device, variant.dtype, variant.weights)
    rates = measure_rates(device)
    machine = Machine.of(device, variant.dtype)
    report = Report(model.name, variant.weights, variant.kv, machine, rates, None)
    say(heading(report))
    say(HEADER)
    for level in Ladder(model, variant, options, rates, seats).climb():
        report = replace(report, levels=(*report.levels, level))
        say(row(level))
        _write(report, options)
    if options.peer:
        # Both together may not fit into a device's memory.
        del model
        release(device)
        peer = measure_peer(lm.config, mimi.config, options.sessions, options.steps, device, variant.dtype)
        report = replace(report, peer=peer)
        say(comparison(report))
        _write(report, options)
    if options.plot_file is not None:
        plot(report, capacity, options.plot_file)


def _write(report: Report, options: Options) -> None:
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(report.to_json(), indent=2) + "\n")
