"""Options that several commands have."""

from typing import Annotated

import typer

from engine.models.config import KvPrecision, WeightPrecision
from engine.settings import Device, Dtype, EngineSettings

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
LoraOption = Annotated[
    str | None,
    typer.Option(help="A LoRA adapter to fuse into it: a file, a folder, a Hugging Face repository."),
]
SttCheckpointOption = Annotated[
    str | None, typer.Option(help="A model of speech to text on the same device, as --checkpoint names it.")
]
SttSessionsOption = Annotated[int, typer.Option(min=1, help="Its transcriptions at the same time.")]
USUAL_STT_SESSIONS: int = EngineSettings.model_fields["stt_sessions"].default
TtsCheckpointOption = Annotated[
    str | None, typer.Option(help="A model of text to speech on the same device, as --checkpoint names it.")
]
TtsSessionsOption = Annotated[int, typer.Option(min=1, help="Its voices at the same time.")]
USUAL_TTS_SESSIONS: int = EngineSettings.model_fields["tts_sessions"].default
TemperatureOption = Annotated[float | None, typer.Option(min=0, help="0 is greedy.")]
TopKOption = Annotated[int | None, typer.Option(min=1)]
