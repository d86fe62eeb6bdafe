"""Mimi: 80 ms of sound to codes and back (Moshi paper 3.3; `MimiModel`). Always float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from engine.models.config import MimiConfig
from engine.models.conv import Downsample, Upsample
from engine.models.rvq import SplitQuantizer
from engine.models.seanet import SeanetDecoder, SeanetEncoder, SeanetState
from engine.models.transformer import Transformer
from engine.state.ring_cache import TransformerState
from engine.state.slot_state import StateGroup
from engine.state.tail import ReplicatedTail, Tail

_CACHED_ROWS = 8


class MimiEncoderState(StateGroup):
    """What the way from sound to codes keeps."""

    def __init__(
        self, seanet: SeanetState, transformer: TransformerState, downsample: ReplicatedTail
    ) -> None:
        super().__init__([seanet, transformer, downsample])
        self.seanet, self.transformer, self.downsample = seanet, transformer, downsample


class MimiDecoderState(StateGroup):
    """What the way from codes to sound keeps."""

    def __init__(self, upsample: Tail, transformer: TransformerState, seanet: SeanetState) -> None:
        super().__init__([upsample, transformer, seanet])
        self.upsample, self.transformer, self.seanet = upsample, transformer, seanet


class MimiEars(StateGroup):
    """The way in alone, for models that say nothing."""

    def __init__(self, encoder: MimiEncoderState) -> None:
        super().__init__([encoder])
        self.encoder = encoder


class MimiMouth(StateGroup):
    """The way out alone, for models that hear nothing."""

    def __init__(self, decoder: MimiDecoderState) -> None:
        super().__init__([decoder])
        self.decoder = decoder


class MimiState(StateGroup):
    """Both directions; one may run without the other."""

    def __init__(self, encoder: MimiEncoderState, decoder: MimiDecoderState) -> None:
        super().__init__([encoder, decoder])
        self.encoder, self.decoder = encoder, decoder


class Mimi(nn.Module):
    """The codec. One frame of each slot at a time, exactly as the reference streams."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        dim = config.seanet.dimension
        # What official files scale the branches of a layer by is part of the weights here.
        transformer = replace(config.transformer, layer_scale=False)
        self.config = config
        self.encoder = SeanetEncoder(config.seanet)
        self.encoder_transformer = Transformer(transformer)
        self.downsample = Downsample(dim, config.downsampling)
        self.quantizer = SplitQuantizer(config.quantizer, dim)
        self.upsample = Upsample(dim, config.downsampling)
        self.decoder_transformer = Transformer(transformer)
        self.decoder = SeanetDecoder(config.seanet)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.upsample.weight.device

    def new_state(self, slots: int) -> MimiState:
        """State for `slots` sessions, to be reset before use."""
        return MimiState(self.new_ears(slots).encoder, self.new_mouth(slots).decoder)

    def new_ears(self, slots: int) -> MimiEars:
        """As `new_state`, of the way in alone."""
        device = self.device
        return MimiEars(
            MimiEncoderState(
                self.encoder.new_state(slots, device),
                self.encoder_transformer.new_state(slots, device, torch.float32),
                self.downsample.new_state(slots, device),
            )
        )

    def new_mouth(self, slots: int) -> MimiMouth:
        """As `new_state`, of the way out alone."""
        device = self.device
        return MimiMouth(
            MimiDecoderState(
                self.upsample.new_state(slots, device),
                self.decoder_transformer.new_state(slots, device, torch.float32),
                self.decoder.new_state(slots, device),
            )
        )

    def encode(self, pcm: Tensor, state: MimiState | MimiEars, slots: Tensor, codebooks: int) -> Tensor:
        """Codes int64 [B, K] of one frame a row, in strict float32: a code can flip by less than TF32 rounds.

        pcm: float32 [B, 1920] in -1..1; slots: int64 [B], all different.
        """
        with _float32_products(self.device, tf32=False):
            codes: Tensor = self.quantizer.encode(self.latent(pcm, state, slots), codebooks)
        return codes

    def latent(self, pcm: Tensor, state: MimiState | MimiEars, slots: Tensor) -> Tensor:
        """What `encode` quantises, float32 [B, D]."""
        kept = state.encoder
        x = _in_pieces(self.encoder, pcm[:, :, None], kept.seanet, slots)
        x = self.encoder_transformer(x, kept.transformer, slots)
        y: Tensor = self.downsample(x, kept.downsample, slots)[:, 0]
        return y

    def decode(self, codes: Tensor, state: MimiState | MimiMouth, slots: Tensor) -> Tensor:
        """One frame of sound a row, float32 [B, 1920]; on CUDA with convolutions in TF32, as upstream's are.

        codes: int64 [B, K], each a valid code; slots: int64 [B], all different.
        """
        kept = state.decoder
        with _float32_products(self.device, tf32=False):
            x = self.quantizer.decode(codes)[:, None]
            x = self.upsample(x, kept.upsample, slots)
            x = self.decoder_transformer(x, kept.transformer, slots)
        with _float32_products(self.device, tf32=True):
            return _in_pieces(self.decoder, x, kept.seanet, slots)[:, :, 0]


def _in_pieces(half: SeanetEncoder | SeanetDecoder, x: Tensor, state: SeanetState, slots: Tensor) -> Tensor:
    """`half` of x [B, T, C]; on CPU a few rows at a time, so that what lies between the layers stays in the
    cache.
    """
    if not x.is_cpu or len(x) <= _CACHED_ROWS:
        y: Tensor = half(x, state, slots)
        return y
    starts = range(0, len(x), _CACHED_ROWS)
    return torch.cat([half(x[i : i + _CACHED_ROWS], state, slots[i : i + _CACHED_ROWS]) for i in starts])


@contextmanager
def _float32_products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Whether matrix products on CUDA may round to TF32, whatever the process has chosen.

    Read by the host when a product is launched, so that a captured graph keeps it.
    """
    if device.type == "cpu":
        yield
        return
    # The newer `fp32_precision` alone would leave the two settings at odds, at which products fail.
    chosen = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = chosen
