"""From a folder of files to voices, and from PersonaPlex's files to such a folder."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint import Model, load
from engine.errors import SettingError, VoiceError
from engine.persona.convert import convert
from engine.persona.folder import load_voices, recording
from engine.persona.loudness import loudness
from engine.persona.voice import SINE, Voice


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny-personaplex", torch.device("cpu"))


def held(frames: int = 9, dim: int = 64) -> dict[str, Tensor]:
    """What PersonaPlex writes: the tokens of frame n lie at n, of delayed channels at n + 1, modulo 4."""
    generator = torch.Generator().manual_seed(0)
    cache = torch.zeros(1, 17, 4, dtype=torch.int64)
    for channel in range(17):
        delay = int(channel not in (0, 1, 9))
        for frame in (frames - 2, frames - 1):
            cache[0, channel, (frame + delay) % 4] = 100 * frame + channel if channel else 3
    vectors = torch.randn(frames - 1, 1, 1, dim, generator=generator).to(torch.bfloat16)
    return {"embeddings": vectors, "cache": cache}


def pickled(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def speak(path: Path, seconds: float = 2.0, rate: int = 16_000, level: float = 0.02) -> None:
    t = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, np.stack([level * np.sin(2 * np.pi * 200 * t)] * 2, axis=1), rate)


def voices(folder: Path, model: Model) -> dict[str, Voice]:
    return load_voices(folder, model.lm.config, model.mimi)


def test_a_folder_has_a_voice_for_each_file_of_its_kinds(model: Model, tmp_path: Path) -> None:
    speak(tmp_path / "ann.wav")
    speak(tmp_path / "zoe.flac", 1.5)
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / "NATF2.pt").write_bytes(pickled(held()))
    list(convert([tmp_path / "NATF2.pt"], tmp_path))
    (tmp_path / "NATF2.pt").unlink()
    found = voices(tmp_path, model)
    assert list(found) == ["NATF2", "ann", "zoe"]
    assert [voice.frames for voice in found.values()] == [9, 25, 19]
    tokens = found["ann"].tokens
    assert set(tokens[0].tolist()) == {3}
    assert {tuple(frame) for frame in tokens[9:].T.tolist()} == {SINE}


def test_in_a_folder_that_kubernetes_makes_of_a_configmap_each_voice_is_there_once(
    model: Model, tmp_path: Path
) -> None:
    hidden = tmp_path / "..2026_11_24_03_00_00"
    hidden.mkdir()
    speak(hidden / "ann.wav")
    (tmp_path / "..data").symlink_to(hidden.name)
    (tmp_path / "ann.wav").symlink_to("..data/ann.wav")
    assert list(voices(tmp_path, model)) == ["ann"]


def test_a_recording_is_made_as_loud_as_the_model_knows_voices(tmp_path: Path) -> None:
    for level in (0.003, 0.9):
        speak(tmp_path / "ann.wav", level=level)
        assert loudness(recording(tmp_path / "ann.wav").astype(np.float64), 24_000) == pytest.approx(
            -24, abs=0.1
        )


def test_a_converted_voice_keeps_what_was_fed_and_the_last_two_frames(model: Model, tmp_path: Path) -> None:
    (tmp_path / "NATM1.pt").write_bytes(pickled(held(frames=9)))
    list(convert([tmp_path / "NATM1.pt"], tmp_path / "out"))
    voice = voices(tmp_path / "out", model)["NATM1"]
    assert voice.vectors is not None
    assert torch.equal(voice.vectors, held()["embeddings"][:, 0, 0])
    assert voice.tokens[1:, -1].tolist() == [800 + channel for channel in range(1, 17)]
    assert voice.tokens[1:, -2].tolist() == [700 + channel for channel in range(1, 17)]


def test_voices_come_out_of_a_folder_and_out_of_the_released_archive(tmp_path: Path) -> None:
    source = tmp_path / "voices"
    source.mkdir()
    for name in ("NATF0", "NATF1"):
        (source / f"{name}.pt").write_bytes(pickled(held()))
    with tarfile.open(tmp_path / "voices.tgz", "w:gz") as archive:
        archive.add(source, "voices")
        archive.add(source / "NATF0.pt", "../../outside.pt")
        archive.add(source / "NATF0.pt", "voices/._NATF0.pt")
    from_folder = list(convert([source], tmp_path / "one"))
    from_archive = list(convert([tmp_path / "voices.tgz"], tmp_path / "two"))
    assert [path.name for path in from_folder] == ["NATF0.safetensors", "NATF1.safetensors"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "NATF0.safetensors",
        "NATF1.safetensors",
        "outside.safetensors",
    ]
    assert {path.parent for path in from_archive} == {tmp_path / "two"}


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickled({"embeddings": 3}),
        pickled(Harmful()),
        pickled({"embeddings": torch.zeros(0)}),
    ],
    ids=["empty", "text", "no cache", "a program", "no frames"],
)
def test_what_is_no_voice_is_said_to_be_none_and_never_run(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(VoiceError, match="x: not a voice of PersonaPlex"):
        list(convert([tmp_path / "x.pt"], tmp_path / "out"))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["missing.pt", "missing", "notes.txt"])
def test_a_source_without_voices_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(VoiceError, match=name):
        list(convert([tmp_path / name], tmp_path / "out"))


def test_a_folder_without_voices_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"no \.pt file"):
        list(convert([tmp_path], tmp_path / "out"))


def test_what_cannot_be_used_stops_the_start_with_its_file_named(model: Model, tmp_path: Path) -> None:
    def fault() -> str:
        with pytest.raises(SettingError) as raised:
            voices(tmp_path, model)
        for path in tmp_path.iterdir():
            path.unlink()
        return str(raised.value)

    (tmp_path / "a.pt").touch()
    assert "voices convert" in fault()
    (tmp_path / "a.wav").write_text("no sound")
    assert "a.wav" in fault()
    speak(tmp_path / "short.wav", 0.5)
    assert "short.wav: 0.5 s long; take 1 to 60 s" in fault()
    speak(tmp_path / "silent.wav", level=0.0)
    assert "nothing is to be heard" in fault()
    speak(tmp_path / "two words.wav")
    assert "A-Z a-z" in fault()
    speak(tmp_path / "ann.wav")
    speak(tmp_path / "ann.flac")
    assert "two voices of this name" in fault()
    (tmp_path / "b.safetensors").write_text("nothing")
    assert "b.safetensors: not readable" in fault()
    save_file({"other": torch.zeros(1)}, tmp_path / "c.safetensors")
    assert "c.safetensors: no voice" in fault()
    save_file({"vectors": torch.zeros(4, 32), "last": torch.zeros(17, 2).long()}, tmp_path / "d.safetensors")
    assert "of 32 dimensions, and this one has 64" in fault()
    save_file({"vectors": torch.zeros(4, 64), "last": torch.full((17, 2), 2049)}, tmp_path / "e.safetensors")
    assert "tokens that this one does not know" in fault()
    with pytest.raises(SettingError, match="no such folder"):
        voices(tmp_path / "none", model)
