"""Contexts that nobody spoke: so that a measurement reads what a long conversation would."""

import torch
from torch import Tensor

from engine.state.ring_cache import TransformerState

_SCALE = 3 / 127
_PIECE = 2**24


@torch.inference_mode()
def pretend_filled(state: TransformerState, positions: int) -> None:
    """Gives every slot `positions` seen positions and noise for keys and values, whatever their precision."""
    for tensor in state.tensors():
        if tensor is state.offsets:
            tensor.fill_(positions)
        elif tensor.dtype == torch.float16 and tensor.dim() < 4:
            tensor.fill_(_SCALE)
        else:
            _fill_with_noise(tensor)


def _fill_with_noise(tensor: Tensor) -> None:
    if tensor.dtype == torch.int8:
        tensor.random_(-127, 128)
    elif tensor.itemsize == 1:
        # torch draws no 8-bit floats.
        for piece in torch.split(tensor.view(-1), _PIECE):
            piece.copy_(torch.randn(piece.shape, device=piece.device))
    else:
        tensor.normal_()
