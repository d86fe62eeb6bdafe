"""The commands as a user types them; only `serve` needs a process of its own."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file

from engine.cli import main
from engine.client import EngineClient
from engine.protocol import Audio, SessionRequest

Command = Callable[..., int]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["moshi-engine", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    on_sigterm = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, on_sigterm)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """1.3 s: a tone with pauses, 16 kHz, two channels."""
    time_s = np.arange(20_800) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * time_s) * (time_s % 0.5 < 0.3)
    path = tmp_path / "in.wav"
    soundfile.write(path, np.stack([tone, tone], axis=1), 16_000)
    return path


def test_a_recording_gets_an_answer_with_all_its_tokens_and_words(
    engine: Command, recording: Path, tmp_path: Path
) -> None:
    out, codes, words = tmp_path / "out.wav", tmp_path / "codes.safetensors", tmp_path / "words.jsonl"
    assert engine("run", recording, out, "--codes", codes, "--transcript", words) == 0
    frames = 17  # 1.3 s are 16.25 frames
    sound, rate = soundfile.read(out, dtype="int16")
    assert (sound.shape, rate) == ((frames * 1920,), 24_000)
    assert soundfile.info(out).subtype == "PCM_16"
    tokens = load_file(codes)["tokens"]
    assert (tokens.shape, str(tokens.dtype)) == ((frames, 17), "int64")
    lines = [json.loads(line) for line in words.read_text().splitlines()]
    spoken = [number for number, text in enumerate(tokens[:, 0]) if text not in (0, 3)]
    assert [line["frame"] for line in lines] == spoken
    assert all(line["time_s"] == pytest.approx(line["frame"] * 0.08) for line in lines)


def test_the_same_seed_gives_the_same_answer_and_another_one_another(
    engine: Command, recording: Path, tmp_path: Path
) -> None:
    def tokens(name: str, *options: object) -> np.ndarray:
        file = tmp_path / name
        wav = tmp_path / "out.wav"
        assert engine("run", recording, wav, "--checkpoint", "random:tiny", "--codes", file, *options) == 0
        found: np.ndarray = load_file(file)["tokens"]
        return found

    first = tokens("a", "--seed", 7)
    assert np.array_equal(first, tokens("b", "--seed", 7))
    assert not np.array_equal(first, tokens("c", "--seed", 8))
    greedy = tokens("d", "--seed", 7, "--temperature", 0)
    assert np.array_equal(greedy, tokens("e", "--seed", 8, "--temperature", 0))
    warm_text = tokens("f", "--seed", 7, "--temperature", 0, "--temperature-text", 0.9)
    assert not np.array_equal(greedy, warm_text)


def test_codes_go_to_a_file_and_back_to_sound(engine: Command, recording: Path, tmp_path: Path) -> None:
    codes, out = tmp_path / "codes.safetensors", tmp_path / "out.wav"
    assert engine("encode", recording, codes) == 0
    assert engine("decode", codes, out) == 0
    found = load_file(codes)["codes"]
    assert (found.shape, str(found.dtype)) == ((8, 17), "int64")
    sound, _ = soundfile.read(out)
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.fft.rfftfreq(len(sound), 1 / 24_000)[spectrum.argmax()] == pytest.approx(440, abs=15)


def test_fewer_codebooks_are_a_prefix_of_all(engine: Command, recording: Path, tmp_path: Path) -> None:
    few, all_of_them = tmp_path / "few", tmp_path / "all"
    assert engine("encode", recording, few, "--codebooks", 3) == 0
    assert engine("encode", recording, all_of_them) == 0
    assert np.array_equal(load_file(few)["codes"], load_file(all_of_them)["codes"][:3])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "missing.wav", "out.wav"), "cannot read missing.wav"),
        (("run", "IN", "/no/such/folder/out.wav"), "cannot write /no/such/folder/out.wav"),
        (("run", "IN", "out.wav", "--codes", "/no/such/codes"), "cannot write /no/such/codes"),
        (("run", "IN", "out.wav", "--transcript", "/no/such/words"), "cannot write /no/such/words"),
        (("encode", "IN", "/no/such/codes"), "cannot write /no/such/codes"),
        (("decode", "IN", "/no/such/out.wav"), "cannot write /no/such/out.wav"),
        (("bench", "--json", "/no/such/table"), "cannot write /no/such/table"),
        (("run", "IN", "out.wav", "--checkpoint", "random:huge"), "random:moshi-7b or random:tiny"),
        (("run", "IN", "out.wav", "--checkpoint", "./nowhere"), "nowhere"),
        (("encode", "IN", "codes", "--codebooks", "9"), "--codebooks 9: this codec has 8; give 1 to 8"),
        (("encode", "IN", "codes", "--codebooks", "0"), "give 1 to 8"),
        (("decode", "IN", "out.wav"), "give a file that `encode` wrote"),
        (("bench", "--sessions", "1,two"), "--sessions 1,two: give numbers"),
        (("bench", "--context", "half"), "--context half: give empty, full or numbers"),
        (("bench", "--context", "5000"), "--context 5000: this model sees 64 frames"),
        (("bench", "--plot", "/no/such/plot.png"), "cannot write /no/such/plot.png"),
        (("bench", "--stt-checkpoint", "parrot"), "this model speaks; what only listens"),
        (("bench", "--lora", "nowhere"), "no adapter 'nowhere'"),
        (("plan", "--stt-checkpoint", "random:huge"), "random:moshi-7b or random:tiny"),
        (("plan", "--stt-checkpoint", "parrot"), "this model speaks; what only listens"),
        (("plan", "--tts-checkpoint", "parrot"), "this model does not read aloud"),
        (("plan", "--lora", "nowhere"), "no adapter 'nowhere'"),
        (("quality", "IN", "--lora", "nowhere"), "no adapter 'nowhere'"),
        (("quality", "missing.wav"), "cannot read missing.wav"),
        (("quality", "IN", "--json", "/no/such/table"), "cannot write /no/such/table"),
        (("serve", "--host", "0.0.0.0"), "set ENGINE_TOKEN"),
        (("serve", "--slots", "0"), "ENGINE_SLOTS"),
        (("talk", "--url", "http://localhost"), "is not an address: give ws://host:port"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_exit_code_2(
    engine: Command,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(recording.parent)
    assert engine(*(recording if argument == "IN" else argument for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") <= 2
    assert says in error


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ({"codes": np.full((8, 3), 5000)}, "codes of this codec are 0 to 1023"),
        ({"codes": np.full((9, 3), 1)}, "1 to 8 codebooks"),
        ({"codes": np.full((8, 3), 1, np.int32)}, "no int64 `codes`"),
        ({"tokens": np.full((8, 3), 1)}, "no int64 `codes`"),
    ],
)
def test_codes_that_the_codec_cannot_decode_are_refused(
    engine: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    codes: dict[str, np.ndarray],
    says: str,
) -> None:
    file = tmp_path / "codes"
    save_file(codes, file)
    assert engine("decode", file, tmp_path / "out.wav") == 2
    assert says in capsys.readouterr().err


def test_a_model_that_does_not_fit_says_what_would(
    engine: Command, recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB")

    monkeypatch.setattr("engine.start.make_runner", full)
    assert engine("serve", "--port", 0, "--slots", 64) == 2
    error = capsys.readouterr().err
    assert "not enough memory for parrot: weights " in error
    assert "what fits: --slots 63, or --kv int8 --slots 64" in error
    monkeypatch.setattr("engine.memory.load", full)
    assert engine("run", recording, "out.wav") == 2
    assert "not enough memory for parrot" in capsys.readouterr().err


def test_the_plan_says_what_each_precision_takes_and_what_fits(
    engine: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("plan", "--device-memory", 80, "--kv", "int8") == 0
    page = capsys.readouterr().out
    assert re.search(r"language model +exact 14\.32 GiB, int8 \d", page)
    (line,) = [line.split() for line in page.splitlines() if line.split()[:1] == ["80.0"]]
    exact, int8 = map(int, line[1:])
    assert 75 < exact < int8 < 100
    assert engine("plan", "--checkpoint", "./nowhere") == 2
    beside = (
        "--stt-checkpoint",
        "random:stt-1b",
        "--stt-sessions",
        16,
        "--tts-checkpoint",
        "random:tts-1.6b",
    )
    assert engine("plan", "--device-memory", 80, "--kv", "exact", "--weights", "exact", *beside) == 0
    page = capsys.readouterr().out
    assert re.search(r"random:stt-1b beside it, speech to text\n.*\n.*\n +with 16, about +\d", page)
    assert re.search(r"random:tts-1.6b beside it, text to speech\n.*\n.*\n +with 4, about +\d", page)
    (line,) = [line.split() for line in page.splitlines() if line.split()[:1] == ["80.0"]]
    assert 25 < int(line[1]) < exact


def test_an_engine_that_is_not_there_is_one_line_and_exit_code_1(
    engine: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("talk", "--url", "ws://127.0.0.1:1") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no engine answers at ws://127.0.0.1:1")
    assert error.count("\n") == 1


def test_emptying_says_which_engine_it_wants_and_which_it_does_not_find(
    engine: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ENGINE_ADMIN_SOCKET", raising=False)
    assert engine("empty", "--to", "lily") == 2
    assert "--admin-socket" in capsys.readouterr().err
    assert engine("empty", "--to", "lily", "--admin-socket", tmp_path / "nobody.sock") == 1
    assert "is ENGINE_ADMIN_SOCKET right?" in capsys.readouterr().err


def test_a_sigterm_while_the_model_is_loaded_ends_quietly(
    engine: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.sock"

    def terminate(*_: object) -> None:
        assert path.exists()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("engine.start.load", terminate)
    assert engine("serve", "--port", 0, "--socket", path) == 0
    assert not path.exists()


def test_an_option_that_does_not_exist_is_exit_code_2(
    engine: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine("run", "a", "b", "--temprature", 1) == 2
    assert "--temprature" in capsys.readouterr().err


def test_the_benchmark_prints_saves_and_draws_what_it_measured(
    engine: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.bench.open_loop.WARM_UP_S", 0.1)
    file, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = ("--sessions", 2, "--context", "empty", "--seconds", 0.2, "--steps", 10)
    outputs = ("--json", file, "--plot", picture)
    assert engine("bench", "--checkpoint", "random:tiny", "--kv", "int8", *arguments, *outputs) == 0
    report = json.loads(file.read_text())
    assert (report["weights"], report["kv"]) == ("exact", "int8")
    assert [(level["sessions"], level["full"]["step"]["count"]) for level in report["levels"]] == [(2, 10)]
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["2", "empty"]
    assert picture.stat().st_size


def test_the_quality_of_a_precision_is_printed_and_saved(
    engine: Command, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "quality.json"
    assert engine("quality", recording, "--kv", "int8", "--json", file) == 0
    found = json.loads(file.read_text())
    assert 0.99 < found["text"]["cosine_min"] <= found["text"]["cosine_mean"]
    assert found["codes"]["max_error"] > 0
    assert "left alone" in capsys.readouterr().out


async def test_serving_ends_with_the_last_call_after_a_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "serve", "--port", "0", "--socket", str(path), "--slots", "1"),
        "--allow-slower-than-real-time",
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stderr is not None
    while b"ready model=parrot seats=1" not in (line := await process.stderr.readline()):
        assert line, "the engine ended before it was ready"
    async with EngineClient(f"unix:{path}") as client:
        session = await client.open(SessionRequest(seed=1))
        process.send_signal(signal.SIGTERM)
        await session.send(b"\0" * 7680)
        answered = 0
        async for event in session:
            answered += isinstance(event, Audio)
            if answered == 2:
                await session.end()
        assert answered == 2
    rest = (await process.stderr.read()).decode()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert "call ended" in rest
    assert "frames=2" in rest
    assert not path.exists()


HANGS = """
import time
from engine.cli import main
from engine.step.eager_runner import EagerRunner

step = EagerRunner.step
EagerRunner.step = lambda self, slots, pcm, *own: (
    time.sleep(600) if (pcm == 77).all() else step(self, slots, pcm, *own)
)
main()
"""


async def test_an_engine_whose_device_hangs_ends_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HANGS, "serve", "--checkpoint", "random:tiny", "--port", "0", "--slots", "1"),
        *("--socket", str(path), "--step-timeout-seconds", "1", "--allow-slower-than-real-time"),
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stderr is not None
    while b"ready model=random:tiny" not in (line := await process.stderr.readline()):
        assert line, "the engine ended before it was ready"
    async with EngineClient(f"unix:{path}") as client:
        session = await client.open(SessionRequest())
        await session.send(b"\x4d\0" * 1920)
        assert [type(event).__name__ async for event in session] == ["Failure", "Ended"]
    rest = (await process.stderr.read()).decode()
    assert await asyncio.wait_for(process.wait(), 30) == 1
    assert "the step hangs" in rest
    assert "--step-timeout-seconds" in rest
