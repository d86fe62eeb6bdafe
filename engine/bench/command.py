"""A benchmark from its options to its files."""

import json
from collections.abc import Callable
from dataclasses import replace

import torch

from engine.bench.ladder import Ladder
from engine.bench.machine import Machine
from engine.bench.open_loop import Talkers
from engine.bench.options import Options, positions
from engine.bench.peer import measure_peer
from engine.bench.plot import check_plotting, plot
from engine.bench.rates import Rates, measure_rates
from engine.bench.results import Level, Report, Second
from engine.bench.sound import Sound
from engine.bench.table import HEADER, comparison, heading, row
from engine.checkpoint import load
from engine.device import release
from engine.errors import SettingError
from engine.memory import Room, load_into, room_for
from engine.output_files import check_writable
from engine.step.build import make_stt_runner
from engine.step.capacity import Beside, Variant
from engine.step.measure import fill


def run(
    variant: Variant,
    device: torch.device,
    options: Options,
    say: Callable[[str], None],
    stt: Beside | None = None,
) -> None:
    """Measure every level of `options`; each is told and written as soon as it is known.

    stt: a second model, of speech to text, measured alone and then beside every level. Raises SettingError
    and CheckpointError, before anything is measured.
    """
    check_writable(options.json_file, options.plot_file, options.trace_file)
    if options.plot_file is not None:
        check_plotting()
    mimi, lm = variant.models()
    capacity = lm.config.transformer.context
    for context in options.contexts:
        positions(context, capacity)
    if options.peer and lm.config.depformer is None:
        raise SettingError(
            f"--peer times models that speak, which {variant.checkpoint} does not: leave it out"
        )
    # First, as `serve` loads them.
    second = None if stt is None else _Transcriber(stt, device)
    seats = max(1, Room.on(device).slots(variant))
    model = load_into(variant, device)
    rates = measure_rates(device)
    machine = Machine.of(device, variant.dtype)
    report = Report(model.name, variant.weights, variant.kv, machine, rates, None)
    say(heading(report))
    say(HEADER)
    if second is not None:
        say(f"{second.name} alone")
        alone = second.alone(options, rates)
        say(row(alone))
        report = replace(report, second=Second(second.name, alone))
        say(f"{model.name} beside {second.sessions} sessions of it")
    talkers = second.talkers() if second else None
    for level in Ladder(model, variant, options, rates, seats, talkers).climb():
        report = replace(report, levels=(*report.levels, level))
        say(row(level))
        _write(report, options)
    if options.peer:
        # All of them together may not fit into a device's memory.
        del model, second, talkers
        release(device)
        peer = measure_peer(lm.config, mimi.config, options.sessions, options.steps, device, variant.dtype)
        report = replace(report, peer=peer)
        say(comparison(report))
        _write(report, options)
    if options.plot_file is not None:
        plot(report, capacity, options.plot_file)


class _Transcriber:
    """A model of speech to text in memory, with room for its sessions."""

    def __init__(self, stt: Beside, device: torch.device) -> None:
        self._stt, self.sessions = stt, stt.sessions
        with room_for(stt, device, "transcriptions", "--stt-sessions"):
            self._model = load(stt.variant.checkpoint, device, stt.variant.dtype)
            self._runner = make_stt_runner(self._model, stt.sessions)

    @property
    def name(self) -> str:
        return self._model.name

    def alone(self, options: Options, rates: Rates) -> Level:
        """All of its sessions, in long calls."""
        asked = replace(options, profile=False, trace_file=None)
        ladder = Ladder(self._model, self._stt.variant, asked, rates, self.sessions)
        return ladder.level(Level(self.sessions, "full", self.sessions), self._runner)

    def talkers(self) -> Talkers:
        """The same, to speak beside others."""
        fill(self._runner, self.sessions, self._model.lm.config.transformer.context)
        return Talkers(self._runner, Sound(self.sessions), self.sessions)


def _write(report: Report, options: Options) -> None:
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(report.to_json(), indent=2) + "\n")
