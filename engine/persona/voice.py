"""A voice: some seconds in which the agent speaks, as a model hears its own words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import VoiceError
from engine.models.config import LMConfig

SINE = (430, 1268, 381, 1611, 1095, 1495, 56, 472)
"""What PersonaPlex hears while it is told who it is: one frame of a tone of 440 Hz, as Mimi's codes."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """tokens: int64 [K, N], those of all channels, one frame a column. vectors: [N - 1, D], what the model is
    fed in place of all but the last; then only the last two columns hold what was said.
    """

    tokens: NDArray[np.int64]
    vectors: Tensor | None = None

    @property
    def frames(self) -> int:
        """N."""
        return int(self.tokens.shape[1])

    @classmethod
    def saying(cls, codes: NDArray[np.int64], config: LMConfig) -> "Voice":
        """Of the codes that the agent says, int64 [8, N]."""
        return cls(column_blocks(codes, config.text_padding_id))

    @classmethod
    def read(cls, path: Path, config: LMConfig) -> "Voice":
        """What `write` has written. Raises VoiceError where it is no voice, or one of another model."""
        try:
            held = load_file(path)
        except (SafetensorError, OSError) as error:
            raise VoiceError(f"{path}: not readable as safetensors ({error})") from None
        if set(held) != {"vectors", "last"}:
            raise VoiceError(f"{path}: no voice; `python -m engine voices convert` makes one of a .pt file")
        vectors, last = held["vectors"], held["last"]
        channels, dim = 1 + config.n_q, config.transformer.dim
        if vectors.dim() != 2 or not len(vectors) or last.shape != (channels, 2):
            raise VoiceError(f"{path}: no voice; convert the .pt file again")
        if vectors.shape[1] != dim:
            raise VoiceError(
                f"{path}: a voice of a model of {vectors.shape[1]} dimensions, and this one has {dim}; "
                "take the voices that came with the checkpoint"
            )
        largest = torch.tensor([config.text_card] + [config.card] * config.n_q)[:, None]
        if last.dtype != torch.int64 or bool((last < 0).any() | (last > largest).any()):
            raise VoiceError(f"{path}: a voice of another model: it has tokens that this one does not know")
        tokens = torch.zeros(channels, len(vectors) + 1, dtype=torch.int64)
        tokens[:, -2:] = last
        return cls(tokens.numpy(), vectors)


def write(path: Path, vectors: Tensor, last: Tensor) -> None:
    """vectors: [N - 1, D]; last: int64 [K, 2], the tokens of the last two frames. Raises VoiceError."""
    try:
        save_file({"vectors": vectors.contiguous(), "last": last.contiguous()}, path)
    except (SafetensorError, OSError) as error:
        raise VoiceError(f"cannot write {path}: {error}") from None


def column_blocks(
    said: NDArray[np.int64], text: int | NDArray[np.int64], heard: tuple[int, ...] = SINE
) -> NDArray[np.int64]:
    """Tokens int64 [17, N]: text, one for all frames or [N]; codes `said` [8, N]; the same codes heard."""
    frames = said.shape[1]
    return np.concatenate(
        [
            np.broadcast_to(np.asarray(text, np.int64), (1, frames)),
            said,
            np.broadcast_to(np.array(heard, np.int64)[:, None], (len(heard), frames)),
        ]
    )
