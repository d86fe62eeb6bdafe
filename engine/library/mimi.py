"""The codec alone: sound to codes and back (Moshi paper 3.3)."""

import numpy as np
import torch
from numpy.typing import NDArray

from engine import recordings
from engine.checkpoint import load_mimi
from engine.device import choose_device
from engine.library.samples import Samples, as_frame, as_frames
from engine.models.mimi import Mimi as Codec
from engine.settings import Device
from engine.step.eager_runner import to_device, to_host


class Mimi:
    """A codec in memory. Sound is 24 kHz mono, codes are 12.5 frames a second of `codebooks` at most."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    @classmethod
    def load(cls, checkpoint: str = "parrot", device: Device = "auto") -> "Mimi":
        """The codec of the same checkpoints that `serve` takes. Raises CheckpointError."""
        return cls(load_mimi(checkpoint, choose_device(device)))

    @property
    def codebooks(self) -> int:
        """How many there are."""
        return self._codec.config.quantizer.n_q

    def encode(self, sound: Samples, codebooks: int | None = None) -> NDArray[np.int64]:
        """Codes int64 [K, T] of a recording [N] or [T, 1920]. Unset, `codebooks` is 8, or fewer if there are.

        Raises ValueError.
        """
        return recordings.encode(self._codec, as_frames(sound), self._checked(codebooks))

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.int16]:
        """A recording int16 [T * 1920] from codes int64 [K, T]. Raises ValueError."""
        if codes.ndim != 2 or not codes.size:
            raise ValueError(f"codes of shape {codes.shape}: give int64 [codebooks, frames]")
        return recordings.decode(self._codec, self._valid(codes)).reshape(-1)

    def stream(self, codebooks: int | None = None) -> "MimiStream":
        """A stream each way, from silence on: what `encode` and `decode` do, 80 ms at a time."""
        return MimiStream(self, self._codec, self._checked(codebooks))

    def _checked(self, codebooks: int | None) -> int:
        if codebooks is None:
            return min(8, self.codebooks)
        if not 1 <= codebooks <= self.codebooks:
            raise ValueError(
                f"codebooks={codebooks}: this codec has {self.codebooks}; give 1 to {self.codebooks}"
            )
        return codebooks

    def _valid(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The codes [K, ...] as they are, if the codec can decode them."""
        self._checked(len(codes))
        bins = self._codec.config.quantizer.bins
        if codes.dtype != np.int64 or codes.min() < 0 or codes.max() >= bins:
            raise ValueError(f"codes of this codec are int64, 0 to {bins - 1}")
        return codes


class MimiStream:
    """Sound that goes on from frame to frame; its two directions are independent. Made by `Mimi.stream`."""

    def __init__(self, mimi: Mimi, codec: Codec, codebooks: int) -> None:
        self._mimi = mimi
        self._codec = codec
        self._codebooks = codebooks
        self._state = codec.new_state(1)
        self._slot = torch.zeros(1, dtype=torch.int64, device=codec.device)
        self._state.reset(self._slot)

    @torch.inference_mode()
    def encode(self, sound: Samples) -> NDArray[np.int64]:
        """Codes int64 [K] of the next frame [1920]. Raises ValueError."""
        pcm = to_device(as_frame(sound)[None], self._codec.device)
        codes = self._codec.encode(pcm, self._state, self._slot, self._codebooks)[0]
        return codes.cpu().numpy()

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.int16]:
        """The next frame int16 [1920] from codes int64 [K]. Raises ValueError."""
        if codes.ndim != 1 or not codes.size:
            raise ValueError(f"codes of shape {codes.shape}: give those of one frame, int64 [codebooks]")
        row = torch.from_numpy(self._mimi._valid(codes))[None].to(self._codec.device)
        return to_host(self._codec.decode(row, self._state, self._slot)).reshape(-1)
