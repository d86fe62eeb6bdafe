"""`python -m engine`: parse, build, call. No logic."""

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli_measure import bench, kernels, plan, quality
from engine.cli_options import (
    CheckpointOption,
    DeviceOption,
    DtypeOption,
    TemperatureOption,
    TopKOption,
)
from engine.cli_serve import empty, serve
from engine.errors import EngineError, Refused, UserError
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
for command in (serve, empty, bench, quality, plan, kernels):
    app.command()(command)


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


def _load(checkpoint: str, device: Device, dtype: Dtype | None) -> "Model":
    from engine.device import choose_device, choose_dtype
    from engine.memory import load_into
    from engine.step.capacity import Variant

    chosen = choose_device(device)
    return load_into(Variant(checkpoint, choose_dtype(dtype, chosen)), chosen)
