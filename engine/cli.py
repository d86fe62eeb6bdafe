"""`python -m engine`: parse, build, call. No logic."""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.cli_serve import empty, serve
from engine.errors import EngineError, Refused, UserError
from engine.models.config import KvPrecision, WeightPrecision
from engine.options import help_of
from engine.output_files import check_writable
from engine.settings import ClientSettings, Device, Dtype, EngineSettings

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
WeightsOption = Annotated[
    WeightPrecision | None, typer.Option(help="Weights as they are, or rounded to 8 bits: exact, int8, fp8.")
]
KvOption = Annotated[
    KvPrecision | None, typer.Option(help="Keys and values as they are, or in 8 bits: exact, int8, e4m3.")
]
TemperatureOption = Annotated[float | None, typer.Option(min=0, help="0 is greedy.")]
TopKOption = Annotated[int | None, typer.Option(min=1)]


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
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


voices = typer.Typer(help="Voices for models that have them.", no_args_is_help=True)
app.add_typer(voices, name="voices")
app.command()(serve)
app.command()(empty)


@app.command()
def talk(
    url: Annotated[str | None, typer.Option(help=help_of(ClientSettings, "url"))] = None,
    temperature: TemperatureOption = None,
    top_k: TopKOption = None,
    temperature_text: TemperatureOption = None,
    top_k_text: TopKOption = None,
    seed: Annotated[int | None, typer.Option(help="Unset: another one each time.")] = None,
    voice: Annotated[str | None, typer.Option(help="For models that have voices.")] = None,
    prompt: Annotated[str | None, typer.Option(help="For models that take one.")] = None,
    microphone: Annotated[str | None, typer.Option(help="Number of a device, or part of its name.")] = None,
    speakers: Annotated[str | None, typer.Option(help="The same. Headphones keep echo away.")] = None,
    devices: Annotated[bool, typer.Option("--devices", help="List microphones and speakers.")] = False,
) -> None:
    """Talk to an engine that runs, here or elsewhere. Ctrl-C hangs up."""
    from engine.protocol import SessionRequest
    from engine.talk import sound_card
    from engine.talk.command import talk as talk_to

    if devices:
        print(sound_card.devices())
        return
    request = SessionRequest(
        temperature, top_k, temperature_text, top_k_text, seed, voice=voice, prompt=prompt
    )
    card = partial(sound_card.sound_card, microphone, speakers)
    settings = ClientSettings.load(url=url)

    async def until_hung_up() -> None:
        hang_up = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, hang_up.set)
        await talk_to(settings, request, card, hang_up, sys.stdout)

    asyncio.run(until_hung_up())


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
    weights: WeightsOption = None,
    kv: KvOption = None,
    sessions: Annotated[str, typer.Option(help="Numbers of sessions, separated by commas.")] = "1,8,32",
    context: Annotated[str, typer.Option(help="What they have heard: empty, full, frames.")] = "full",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long they speak at each number.")] = 20.0,
    steps: Annotated[int, typer.Option(min=10, help="Full steps timed at each.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw the step and its floor.")] = None,
    peer: Annotated[Literal["moshi"] | None, typer.Option(help="Time the reference package as well.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Name the ten costliest kernels.")] = False,
    trace: Annotated[Path | None, typer.Option(help="Write a trace of the last level for Perfetto.")] = None,
) -> None:
    """Let sessions speak in real time, and time full steps beside what memory allows at best."""
    from engine.bench.command import run as measure
    from engine.bench.options import Options, parse_contexts, parse_sessions
    from engine.device import choose_device, choose_dtype
    from engine.step.capacity import Variant

    options = Options(
        parse_sessions(sessions),
        parse_contexts(context),
        steps,
        seconds,
        json_file=json_file,
        plot_file=plot_file,
        trace_file=trace,
        profile=profile or trace is not None,
        peer=peer is not None,
    )
    chosen = choose_device(device)
    variant = Variant(checkpoint, choose_dtype(dtype, chosen), weights or "exact", kv or "exact")
    measure(variant, chosen, options, say=partial(print, flush=True))


@app.command()
def quality(
    recording: Annotated[Path, typer.Argument(metavar="IN", help="What the caller says.")],
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers.")] = None,
) -> None:
    """Say what a precision costs: logits, tokens and sound beside those of exact float32."""
    from engine.audio_files import read_frames
    from engine.device import choose_device, choose_dtype
    from engine.quality.measure import measure_quality
    from engine.step.capacity import Variant

    frames = read_frames(recording)
    check_writable(json_file)
    chosen = choose_device(device)
    variant = Variant(checkpoint, choose_dtype(dtype, chosen), weights or "exact", kv or "exact")
    found = measure_quality(variant, chosen, frames)
    print(found)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n")


@app.command()
def plan(
    checkpoint: CheckpointOption = "random:moshi-7b",
    weights: WeightsOption = None,
    kv: KvOption = None,
    device_memory: Annotated[
        float | None, typer.Option(min=0, help="GiB of one device, instead of this and the common ones.")
    ] = None,
) -> None:
    """Say how many sessions fit into a GPU. Needs no GPU and no weights."""
    from engine.plan import COMMON, Gpu, this_gpu
    from engine.plan import plan as lines

    gpus = (*this_gpu(), *COMMON) if device_memory is None else (Gpu("", device_memory),)
    for line in lines(checkpoint, weights, kv, gpus):
        print(line)


@app.command()
def download(
    checkpoint: Annotated[
        str | None, typer.Argument(help=help_of(EngineSettings, "checkpoint"), show_default=False)
    ] = None,
    lora: Annotated[str | None, typer.Option(help=help_of(EngineSettings, "lora"))] = None,
) -> None:
    """Fetch a checkpoint's files, so that a start need not wait for them."""
    from engine.checkpoint.fetch import fetch
    from engine.logs import log_to_stderr

    log_to_stderr("plain")
    settings = EngineSettings.load(checkpoint=checkpoint, lora=lora)
    for path in fetch(settings.checkpoint, settings.lora):
        print(path)


@voices.command("convert")
def convert_voices(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help=".pt files, folders of them, or voices.tgz.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for what is made of them.")],
) -> None:
    """Make PersonaPlex's bundled voices into what an engine reads. Once: a .pt file is a program."""
    from engine.persona.convert import convert

    for path in convert(sources, out):
        print(path)


@app.command()
def kernels(
    checkpoint: CheckpointOption = "random:moshi-7b",
    dtype: DtypeOption = "bfloat16",
    weights: WeightsOption = None,
    kv: KvOption = None,
    sessions: Annotated[str, typer.Option(help="Numbers of sessions, separated by commas.")] = "1,32",
    capability: Annotated[int, typer.Option(min=80, help="Of the GPU: 80 is A100, 90 is H100.")] = 90,
) -> None:
    """Compile what a step launches on a GPU, and show what it takes. Needs no GPU and no weights."""
    import torch

    from engine.bench.options import parse_sessions
    from engine.device import choose_dtype
    from engine.kernel_report import report
    from engine.step.capacity import Variant

    counts = parse_sessions(sessions)
    computed = choose_dtype(dtype, torch.device("cuda"))
    for line in report(Variant(checkpoint, computed, weights or "exact", kv or "exact"), counts, capability):
        print(line)


def _load(checkpoint: str, device: Device, dtype: Dtype | None) -> "Model":
    from engine.checkpoint import load
    from engine.device import choose_device, choose_dtype
    from engine.memory import Room, enough_memory
    from engine.step.capacity import Variant

    chosen = choose_device(device)
    variant = Variant(checkpoint, choose_dtype(dtype, chosen))
    room = Room.on(chosen)
    room.check(variant, slots=1)
    with enough_memory(lambda: room.too_little_for(variant, slots=1)):
        return load(checkpoint, chosen, variant.dtype)
