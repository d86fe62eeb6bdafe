"""`python -m engine`: parse, build, call. No logic."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import Refused, SettingError, UserError
from engine.logs import LogFormat, log_to_stderr
from engine.output_files import check_writable
from engine.settings import Device, Dtype, EngineSettings

if TYPE_CHECKING:
    from engine.checkpoint import Model

app = typer.Typer(
    help="Many full-duplex Moshi sessions on one device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

CheckpointOption = Annotated[
    str, typer.Option(help="parrot, a folder, a Hugging Face repository, random:moshi-7b or random:tiny.")
]
DeviceOption = Annotated[Device, typer.Option(help="auto takes CUDA if there is one, else the CPU.")]
DtypeOption = Annotated[Dtype | None, typer.Option(help="What the language model computes in.")]


def main() -> None:
    """Run a command; what the user got wrong is exit code 2, a refusal 3, anything unexpected 1."""
    try:
        app(prog_name="moshi-engine")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        sys.exit(3)


@app.command()
def serve(
    checkpoint: Annotated[str | None, typer.Option(help="parrot, a folder, a repository, random:...")] = None,
    device: Annotated[Device | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    dtype: DtypeOption = None,
    slots: Annotated[int | None, typer.Option(help="Sessions at the same time.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; not loopback: needs ENGINE_TOKEN.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    socket: Annotated[Path | None, typer.Option(help="A Unix socket to listen on as well.")] = None,
    origins: Annotated[str | None, typer.Option(help="Origins of web pages that may open sessions.")] = None,
    drain_seconds: Annotated[float | None, typer.Option(help="How long SIGTERM waits for calls.")] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Log lines for people or for machines.")
    ] = None,
) -> None:
    """Serve sessions. Every option is also a setting ENGINE_..., as is ENGINE_TOKEN."""
    settings = EngineSettings.load(
        checkpoint=checkpoint,
        device=device,
        dtype=dtype,
        slots=slots,
        host=host,
        port=port,
        socket=socket,
        origins=origins,
        drain_seconds=drain_seconds,
        log_format=log_format,
    )
    log_to_stderr(settings.log_format)
    # Until there are calls to wait for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from engine.service.server import Shutdown, bound
    from engine.service.server import serve as serve_sessions
    from engine.service.sessions import ServedModel
    from engine.step.capacity import fitting_slots
    from engine.step.eager_runner import EagerRunner
    from engine.step.moshi_step import MoshiStep

    with bound(settings) as sockets:
        model = _load(settings.checkpoint, settings.device, settings.dtype)
        count = settings.slots or fitting_slots(model.mimi, model.lm)
        with _enough_memory(f"{count} slots: give fewer with --slots"):
            runner = EagerRunner(MoshiStep(model.mimi, model.lm, count), model.lm.device)
        served = ServedModel(model.name, model.lm.config.max_delay, model.sampling, model.tokenizer.piece)
        # What is loaded stays: the collector need not walk it while calls are on.
        gc.collect()
        gc.freeze()

        async def until_shut_down() -> bool:
            shutdown = Shutdown()
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, shutdown.request)
            return await serve_sessions(settings, sockets, served, runner, count, shutdown)

        sys.exit(0 if asyncio.run(until_shut_down()) else 1)


@app.command()
def run(
    recording: Annotated[Path, typer.Argument(metavar="IN", help="What the caller says.")],
    answer: Annotated[Path, typer.Argument(metavar="OUT", help="What the model answers, a WAV.")],
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 makes audio and text greedy.")] = None,
    top_k: Annotated[int | None, typer.Option(min=1)] = None,
    temperature_text: Annotated[float | None, typer.Option(min=0)] = None,
    top_k_text: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1)] = 0,
    codes: Annotated[Path | None, typer.Option(help="Write every token, as safetensors.")] = None,
    transcript: Annotated[Path | None, typer.Option(help="Write the model's words, as JSON lines.")] = None,
) -> None:
    """Play a recording to the model and save its answer."""
    from engine import recordings
    from engine.audio_files import read_frames, write_frames
    from engine.protocol import SessionRequest

    frames = read_frames(recording)
    check_writable(answer, codes, transcript)
    if temperature == 0 and temperature_text is None:
        temperature_text = 0.0
    request = SessionRequest(temperature, top_k, temperature_text, top_k_text, seed)
    model = _load(checkpoint, device, dtype)
    answers = list(recordings.run(model, frames, request.sampling(model.sampling)))
    write_frames(answer, recordings.sound(answers))
    if codes is not None:
        recordings.write_tokens(codes, answers)
    if transcript is not None:
        recordings.write_transcript(transcript, answers, model.tokenizer)


@app.command()
def encode(
    recording: Annotated[Path, typer.Argument(metavar="IN")],
    codes: Annotated[Path, typer.Argument(metavar="FILE", help="int64 codes [K, T], as safetensors.")],
    codebooks: Annotated[int | None, typer.Option(help="8 are 1.1 kbit/s; more sound better.")] = None,
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
) -> None:
    """Encode a recording with the codec alone."""
    from engine import recordings
    from engine.audio_files import read_frames
    from engine.checkpoint import load_mimi
    from engine.device import choose_device

    frames = read_frames(recording)
    check_writable(codes)
    recordings.write_codes(
        codes, recordings.encode(load_mimi(checkpoint, choose_device(device)), frames, codebooks)
    )


@app.command()
def decode(
    codes: Annotated[Path, typer.Argument(metavar="FILE", help="What encode wrote.")],
    recording: Annotated[Path, typer.Argument(metavar="OUT", help="A WAV.")],
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
) -> None:
    """Decode codes with the codec alone."""
    from engine import recordings
    from engine.audio_files import write_frames
    from engine.checkpoint import load_mimi
    from engine.device import choose_device

    check_writable(recording)
    mimi = load_mimi(checkpoint, choose_device(device))
    write_frames(recording, recordings.decode(mimi, recordings.read_codes(codes, mimi)))


@app.command()
def bench(
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    sessions: Annotated[str, typer.Option(help="Sessions in one step, separated by commas.")] = "1,8,32",
    steps: Annotated[int, typer.Option(min=10, help="Steps measured at each.")] = 200,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table, as JSON.")] = None,
) -> None:
    """Time the step at several numbers of sessions, one step after the other."""
    from engine.bench import parse_sessions, time_steps

    check_writable(json_file)
    counts = parse_sessions(sessions)
    report = time_steps(_load(checkpoint, device, dtype), counts, steps)
    print(report.table())
    if json_file is not None:
        json_file.write_text(json.dumps(report.to_json(), indent=2) + "\n")


def _load(checkpoint: str, device: Device, dtype: Dtype | None) -> "Model":
    import torch

    from engine.checkpoint import load
    from engine.device import choose_device

    with _enough_memory(f"{checkpoint}: take a smaller or 8-bit checkpoint, or another device"):
        return load(checkpoint, choose_device(device), getattr(torch, dtype) if dtype else None)


@contextmanager
def _enough_memory(what: str) -> Iterator[None]:
    """Turn torch's end of memory into an error that says what did not fit, and what to do."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise SettingError(f"the device has not enough memory for {what}") from None
