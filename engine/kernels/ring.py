"""What the kernels of attention see of their arguments: the tensors in them."""

from typing import Protocol

from torch import Tensor


class Ring(Protocol):
    """Keys and values [S, KV, C, D], and where they are int8 their scales float16 [S, KV, C]."""

    keys: Tensor
    values: Tensor
    key_scales: Tensor | None
    value_scales: Tensor | None


class Window(Protocol):
    """The new positions int64 [B, T]; -1 for slot -1."""

    positions: Tensor


class Turn(Protocol):
    """Cosines and sines float32 [B, T, 1, D / 2]; whether pairs are neighbours."""

    cos: Tensor
    sin: Tensor
    interleaved: bool
