import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint import Model, load
from engine.checkpoint.tts_voices import load_voices, voice_named
from engine.errors import CheckpointError, SessionError, SettingError
from engine.models.config import TtsConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Model:
    return replace(load("random:tiny-tts", CPU), tts=TtsConfig(4, 2, tag="1e68beda@240"))


def put(path: Path, tensor: Tensor, key: str = "speaker_wavs") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor}, path)


def test_a_folder_of_published_voices(tmp_path: Path, model: Model, caplog: pytest.LogCaptureFixture) -> None:
    wave = torch.randn(1, 16, 9)
    put(tmp_path / "expresso/happy.wav.1e68beda@240.safetensors", wave)
    put(tmp_path / "mine.safetensors", wave[:, :, :3].bfloat16())
    put(tmp_path / "expresso/happy.wav.d6ef30c7@1000.safetensors", torch.zeros(3))
    put(tmp_path / ".cache/other.safetensors", torch.zeros(3))
    (tmp_path / "expresso/happy.wav").write_bytes(b"sound")
    with caplog.at_level(logging.INFO):
        voices = load_voices(tmp_path, model)
    assert list(voices) == ["expresso/happy.wav", "mine"]
    assert torch.equal(voices["expresso/happy.wav"].vectors, wave[0].T)
    assert (voices["mine"].vectors.shape, voices["mine"].vectors.dtype) == ((3, 16), torch.float32)
    assert voice_named(voices, "mine") is voices["mine"]
    assert voice_named(voices, "") is voice_named(voices, None) is None
    with pytest.raises(SessionError, match=r"no voice 'nobody': this engine has expresso/happy\.wav, mine"):
        voice_named(voices, "nobody")
    with pytest.raises(SessionError, match=r"1, 2, 3, 4, 5, 6, 7 and 12 more$"):
        voice_named({str(n): voices["mine"] for n in range(20)}, "nobody")


@pytest.mark.parametrize(
    ("tensor", "key", "complaint"),
    [
        (torch.zeros(1, 15, 4), "speaker_wavs", r"is \[1, 15, 4\], and this model takes \[1, 16, N\]"),
        (torch.zeros(16, 4), "speaker_wavs", r"is \[16, 4\]"),
        (torch.zeros(2, 16, 4), "speaker_wavs", r"is \[2, 16, 4\]"),
        (torch.zeros(1, 16, 0), "speaker_wavs", r"is \[1, 16, 0\]"),
        (torch.full((1, 16, 4), float("nan")), "speaker_wavs", "no numbers"),
        (torch.zeros(1, 16, 4, dtype=torch.int64), "speaker_wavs", "no numbers"),
        (torch.zeros(1, 16, 4), "vectors", "no tensor 'speaker_wavs'"),
    ],
)
def test_what_is_no_voice_is_said_with_its_file(
    tmp_path: Path, model: Model, tensor: Tensor, key: str, complaint: str
) -> None:
    put(tmp_path / "voice.safetensors", tensor, key)
    with pytest.raises(SettingError, match=rf"voice\.safetensors: .*{complaint}"):
        load_voices(tmp_path, model)


def test_other_things_that_can_be_wrong_with_voices(tmp_path: Path, model: Model) -> None:
    with pytest.raises(SettingError, match="no such folder"):
        load_voices(tmp_path / "nowhere", model)
    (tmp_path / "voice.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(SettingError, match="not readable as safetensors"):
        load_voices(tmp_path, model)
    put(tmp_path / "voice.safetensors", torch.zeros(1, 16, 4))
    put(tmp_path / "voice.1e68beda@240.safetensors", torch.zeros(1, 16, 4))
    with pytest.raises(SettingError, match="two voices of this name"):
        load_voices(tmp_path, model)
    with pytest.raises(CheckpointError, match="random:tiny: no model for text to speech"):
        load_voices(tmp_path, load("random:tiny", CPU))
