"""The language model over text and codes (Moshi paper 3.4; `LMModel`): Moshi, PersonaPlex, Kyutai STT and
TTS.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.models.config import LMConfig
from engine.models.depformer import Depformer
from engine.models.embedding import Embedding, StackedEmbeddings
from engine.models.linear import AnyLinear, Int8Linear, Linear
from engine.models.norm import make_norm
from engine.models.transformer import Transformer
from engine.state.ring_cache import TransformerState


class LMOutput(NamedTuple):
    """hidden [B, T, D], which the depformer and the extra heads read; text_logits float32 [B, T,
    text_card_out].
    """

    hidden: Tensor
    text_logits: Tensor


class LM(nn.Module):
    """The temporal transformer with its embeddings and heads, and the depformer of models that speak."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        linear: type[AnyLinear] = Int8Linear if config.quantize else Linear
        dim = config.transformer.dim
        self.config = config
        self.emb = StackedEmbeddings(config.n_q, config.card + 1, dim, norm=config.norm_emb)
        self.text_emb = Embedding(
            config.text_card + 1, dim, linear, norm=config.norm_emb, demux=config.demux_text
        )
        self.transformer = Transformer(config.transformer, linear)
        self.out_norm = make_norm(config.transformer.norm, dim)
        self.text_linear = linear(dim, config.text_card_out, config.bias_proj)
        self.extra_heads = nn.ModuleList(
            linear(dim, config.extra_heads_dim) for _ in range(config.extra_heads)
        )
        self.depformer = Depformer(config, config.depformer, linear) if config.depformer else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.emb.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of activations, keys and values."""
        return self.emb.weight.dtype

    def new_state(self, slots: int) -> TransformerState:
        """State for `slots` sessions, to be reset before use."""
        return self.transformer.new_state(slots, self.device, self.dtype)

    def forward(self, tokens: Tensor, state: TransformerState, slots: Tensor) -> LMOutput:
        """The next T steps of each slot.

        tokens: int64 [B, 1 + n_q, T] as they are fed (delays applied; -1: no input); slots: int64 [B], all
        different. T steps at once equal T calls with one, as long as the ring does not wrap among them.
        """
        # One after the other, text last: the reference's order, which shows in bfloat16.
        x, *others = self.emb(tokens[:, 1:]).unbind(1)
        for vectors in (*others, self.text_emb(tokens[:, 0])):
            x = x + vectors
        hidden = self.out_norm(self.transformer(x, state, slots))
        return LMOutput(hidden, self.text_linear(hidden).float())

    def extra_probabilities(self, hidden: Tensor) -> Tensor:
        """Softmax of each extra head, [B, T, heads, dim]; for speech to text, the semantic voice activity."""
        return torch.stack([head(hidden).softmax(dim=-1) for head in self.extra_heads], dim=2)
