"""A recording through the model or the codec alone, frame by frame as a live session goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from engine.checkpoint import Model
from engine.checkpoint.tokenizer import Tokenizer
from engine.errors import AudioFileError, SettingError
from engine.models.mimi import Mimi, MimiState
from engine.step.eager_runner import EagerRunner, to_device, to_host
from engine.step.frames import FRAME_S, Sampling
from engine.step.loop import StepOutput
from engine.step.moshi_step import MoshiStep


def run(model: Model, frames: NDArray[np.int16], sampling: Sampling) -> Iterator[StepOutput]:
    """The answers to a recording, int16 [T, 1920], as steps of one row."""
    runner = EagerRunner(MoshiStep(model.mimi, model.lm, slots=1), model.lm.device)
    runner.join({0: sampling})
    for frame in frames:
        yield runner.step([0], frame[None])


def sound(answers: list[StepOutput]) -> NDArray[np.int16]:
    """What the answers sound like, int16 [T, 1920]."""
    return np.concatenate([out.pcm for out in answers])


def write_tokens(path: Path, answers: list[StepOutput]) -> None:
    """safetensors with int64 `tokens` [T, 1 + own + heard]: text, own codes, user codes of each frame."""
    rows = [np.concatenate([out.text, out.codes[0], out.user_codes[0]]) for out in answers]
    save_file({"tokens": np.stack(rows)}, path)


def write_transcript(path: Path, answers: list[StepOutput], tokenizer: Tokenizer) -> None:
    """JSON lines `{"frame", "time_s", "piece"}`, one for each piece of text that is no padding."""
    with path.open("w") as file:
        for number, out in enumerate(answers):
            piece = tokenizer.piece(int(out.text[0]))
            if piece:
                line = {"frame": number, "time_s": round(number * FRAME_S, 3), "piece": piece}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


@torch.inference_mode()
def encode(mimi: Mimi, frames: NDArray[np.int16], codebooks: int | None) -> NDArray[np.int64]:
    """Codes int64 [K, T] of a recording, int16 [T, 1920]. Unset, `codebooks` is 8, or fewer if there are.

    Raises SettingError for more codebooks than the codec has.
    """
    most = mimi.config.quantizer.n_q
    codebooks = min(8, most) if codebooks is None else codebooks
    if not 1 <= codebooks <= most:
        raise SettingError(f"--codebooks {codebooks}: this codec has {most}; give 1 to {most}")
    state, slot = _one_session(mimi)
    codes = [mimi.encode(to_device(frame[None], mimi.device), state, slot, codebooks) for frame in frames]
    return torch.cat(codes).T.contiguous().cpu().numpy()


@torch.inference_mode()
def decode(mimi: Mimi, codes: NDArray[np.int64]) -> NDArray[np.int16]:
    """A recording int16 [T, 1920] from codes int64 [K, T]."""
    state, slot = _one_session(mimi)
    columns = torch.from_numpy(codes).to(mimi.device).T
    return to_host(torch.cat([mimi.decode(column[None], state, slot) for column in columns]))


def _one_session(mimi: Mimi) -> tuple[MimiState, Tensor]:
    """Fresh state of a single slot, and that slot as int64 [1]."""
    state, slot = mimi.new_state(1), torch.zeros(1, dtype=torch.int64, device=mimi.device)
    state.reset(slot)
    return state, slot


def write_codes(path: Path, codes: NDArray[np.int64]) -> None:
    """safetensors with int64 `codes` [K, T]."""
    save_file({"codes": codes}, path)


def read_codes(path: Path, mimi: Mimi) -> NDArray[np.int64]:
    """int64 `codes` [K, T] from safetensors. Raises AudioFileError for what the codec cannot decode."""
    try:
        codes = load_file(path).get("codes")
    except (SafetensorError, OSError) as error:
        raise AudioFileError(f"cannot read {path}: {error}; give a file that `encode` wrote") from None
    quantizer = mimi.config.quantizer
    if codes is None or codes.dtype != np.int64 or codes.ndim != 2 or not 1 <= len(codes) <= quantizer.n_q:
        raise AudioFileError(f"{path} holds no int64 `codes` [K, T] with 1 to {quantizer.n_q} codebooks")
    if codes.size == 0 or codes.min() < 0 or codes.max() >= quantizer.bins:
        raise AudioFileError(f"{path}: codes of this codec are 0 to {quantizer.bins - 1}")
    return codes
