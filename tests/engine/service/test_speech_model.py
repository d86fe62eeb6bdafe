"""Text to speech over real sockets with a model of random weights: what the engine sends is what it says."""

import asyncio
import re
import textwrap
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.checkpoint import Model, load
from engine.checkpoint.tts_voices import TtsVoice, load_voices
from engine.errors import SessionError
from engine.protocol import Ended
from engine.service.server import Speaker
from engine.service.speeches import ServedTts
from engine.speech_client import Speech, SpeechClient
from engine.speech_protocol import Sound, SpeechEvent, SpeechRequest, Word
from engine.step.build import make_tts_runner
from tests.engine.service.conftest import RunningEngine, StartEngine

Start = Callable[..., AbstractAsyncContextManager[RunningEngine]]
PAGE = Path(__file__).parents[3] / "docs" / "speech.md"
TEXT = "Good morning to all of you."


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny-tts", torch.device("cpu"))


@pytest.fixture(scope="module")
def voices(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TtsVoice]:
    folder = tmp_path_factory.mktemp("voices")
    for number, name in enumerate(("ann", "bob")):
        vectors = torch.randn(1, 16, 20, generator=torch.Generator().manual_seed(number))
        save_file({"speaker_wavs": vectors}, folder / f"{name}.safetensors")
    return load_voices(folder, model)


@pytest.fixture
def start(start_engine: StartEngine, model: Model, voices: Mapping[str, TtsVoice]) -> Start:
    def begin(sessions: int = 2) -> AbstractAsyncContextManager[RunningEngine]:
        runner = make_tts_runner(model, sessions, voices.values())
        return start_engine(tts=Speaker(ServedTts.of(model, runner, voices), runner, sessions))

    return begin


async def all_of(speech: Speech) -> list[SpeechEvent]:
    async with asyncio.timeout(60):
        return [event async for event in speech]


def by_hand(model: Model, voices: Mapping[str, TtsVoice], asked: SpeechRequest) -> list[SpeechEvent]:
    """What the model says without any service."""
    runner = make_tts_runner(model, 1, voices.values())
    assert asked.seed is not None
    sampling = replace(model.sampling, seed=asked.seed)
    if asked.temperature is not None:
        sampling = replace(sampling, temperature=asked.temperature, temperature_text=asked.temperature)
    runner.open(0, voices[asked.voice or "ann"], sampling, asked.cfg)
    runner.say(0, TEXT)
    runner.end(0)
    events: list[SpeechEvent] = []
    while runner.ready(0):
        (frame,) = runner.step([0])
        events += [Word(word.text, round(word.start_s, 3)) for word in frame.words]
        events += [Sound(frame.pcm.tobytes())] if len(frame.pcm) else []
    return [*events, Ended("hang_up")]


async def test_words_and_sound_are_those_of_the_model_for_each_of_two_at_once(
    start: Start, model: Model, voices: Mapping[str, TtsVoice]
) -> None:
    asked = [SpeechRequest(seed=1), SpeechRequest("bob", temperature=0.3, seed=2, cfg=3.5)]
    async with start() as running, SpeechClient(running.url) as client:
        speeches = [await client.open(request) for request in asked]
        for piece in re.findall(r".{1,5}", TEXT):
            for speech in speeches:
                await speech.say(piece)
        for speech in speeches:
            await speech.end()
        told = await asyncio.gather(*map(all_of, speeches))
        with pytest.raises(SessionError, match="this model takes"):
            await client.open(SpeechRequest(cfg=1.25))
    assert [speech.ready.voice for speech in speeches] == ["ann", "bob"]
    for request, events in zip(asked, told, strict=True):
        assert events == by_hand(model, voices, request)
        words = [event.text for event in events if isinstance(event, Word)]
        assert words == TEXT.split()


async def test_the_example_of_the_page_writes_what_is_said(
    start: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (example,) = re.findall(r"^```python\n(import wave.*?)^```", PAGE.read_text(), re.M | re.S)
    async with start() as running:
        code = textwrap.indent(example.replace("ws://127.0.0.1:8998", running.url), "    ")
        code = code.replace("morning.wav", str(tmp_path / "morning.wav"))
        names: dict[str, Any] = {}
        exec(compile(f"async def main():\n{code}", str(PAGE), "exec"), names)
        async with asyncio.timeout(60):
            await names["main"]()
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["Good", "morning."]
    assert (tmp_path / "morning.wav").stat().st_size > 44 + 3840
