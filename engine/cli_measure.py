"""What says how fast and how large models are: `bench`, `quality`, `plan`, `kernels`. Parse, build, call. No
logic.
"""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.cli_options import (
    USUAL_STT_SESSIONS,
    USUAL_TTS_SESSIONS,
    CheckpointOption,
    DeviceOption,
    DtypeOption,
    KvOption,
    LoraOption,
    SttCheckpointOption,
    SttSessionsOption,
    TtsCheckpointOption,
    TtsSessionsOption,
    WeightsOption,
)
from engine.output_files import check_writable


def bench(
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    lora: LoraOption = None,
    stt_checkpoint: SttCheckpointOption = None,
    stt_sessions: SttSessionsOption = USUAL_STT_SESSIONS,
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
    from engine.step.capacity import Beside, Variant

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
    computed = choose_dtype(dtype, chosen)
    variant = Variant(checkpoint, computed, weights or "exact", kv or "exact", lora)
    stt = Beside(Variant(stt_checkpoint, computed), stt_sessions) if stt_checkpoint else None
    measure(variant, chosen, options, partial(print, flush=True), stt)


def quality(
    recording: Annotated[Path, typer.Argument(metavar="IN", help="What the caller says.")],
    checkpoint: CheckpointOption = "parrot",
    device: DeviceOption = "auto",
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    kv: KvOption = None,
    lora: LoraOption = None,
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
    variant = Variant(checkpoint, choose_dtype(dtype, chosen), weights or "exact", kv or "exact", lora)
    found = measure_quality(variant, chosen, frames)
    print(found)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n")


def plan(
    checkpoint: CheckpointOption = "random:moshi-7b",
    weights: WeightsOption = None,
    kv: KvOption = None,
    lora: LoraOption = None,
    stt_checkpoint: SttCheckpointOption = None,
    stt_sessions: SttSessionsOption = USUAL_STT_SESSIONS,
    tts_checkpoint: TtsCheckpointOption = None,
    tts_sessions: TtsSessionsOption = USUAL_TTS_SESSIONS,
    device_memory: Annotated[
        float | None, typer.Option(min=0, help="GiB of one device, instead of this and the common ones.")
    ] = None,
) -> None:
    """Say how many sessions fit into a GPU. Needs no GPU and no weights."""
    from engine.plan import COMMON, DTYPE, SPEECH_TO_TEXT, TEXT_TO_SPEECH, Gpu, this_gpu
    from engine.plan import plan as lines
    from engine.step.capacity import Beside, Variant

    asked = {
        SPEECH_TO_TEXT: (stt_checkpoint, stt_sessions),
        TEXT_TO_SPEECH: (tts_checkpoint, tts_sessions),
    }
    beside = {
        what: Beside(Variant(name, DTYPE), sessions) for what, (name, sessions) in asked.items() if name
    }
    gpus = (*this_gpu(), *COMMON) if device_memory is None else (Gpu("", device_memory),)
    for line in lines(checkpoint, weights, kv, gpus, beside, lora):
        print(line)


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
