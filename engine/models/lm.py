"""The language model over text and codes (Moshi paper 3.4; `LMModel`): Moshi, PersonaPlex, Kyutai STT and
TTS.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.models.conditions import Conditions
from engine.models.config import KvPrecision, LMConfig, WeightPrecision
from engine.models.depformer import Depformer
from engine.models.embedding import Embedding, StackedEmbeddings, embed
from engine.models.float8 import Float8Linear
from engine.models.linear import AnyLinear, Int8Linear, Linear
from engine.models.norm import make_norm
from engine.models.transformer import Transformer
from engine.state.ring_cache import TransformerState
from engine.state.told_cache import ToldState

LINEARS: dict[WeightPrecision, type[AnyLinear]] = {
    "exact": Linear,
    "int8": Int8Linear,
    "fp8": Float8Linear,
}


class LMOutput(NamedTuple):
    """hidden [B, T, D], which the depformer and the extra heads read; text_logits [B, T, text_card_out]."""

    hidden: Tensor
    text_logits: Tensor


class LM(nn.Module):
    """The temporal transformer with its embeddings and heads, and the depformer of models that speak."""

    def __init__(self, config: LMConfig, weights: WeightPrecision = "exact") -> None:
        """weights: how matrices are kept, where a checkpoint does not have them in 8 bits already."""
        super().__init__()
        linear = Int8Linear if config.quantize else LINEARS[weights]
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
        self.conditions = Conditions(config.conditions, dim) if config.conditions else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.emb.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of activations, keys and values."""
        return self.emb.weight.dtype

    def new_state(self, slots: int, kv: KvPrecision = "exact") -> TransformerState:
        """State for `slots` sessions, to be reset before use."""
        return self.transformer.new_state(slots, self.device, self.dtype, kv)

    def new_told(self, slots: int, length: int) -> ToldState:
        """Room for what `slots` sessions of a model with conditions are told, up to `length` vectors of a
        voice.
        """
        caches = self.transformer.new_told(slots, length, self.device, self.dtype)
        added = torch.zeros(slots, self.config.transformer.dim, device=self.device, dtype=self.dtype)
        return ToldState(added, caches)

    def tell(self, told: ToldState, slot: int, voice: Tensor, length: int, values: Mapping[str, str]) -> None:
        """Gives the session in `slot` of a model with conditions its voice, [T, voice_dim], filled up to
        `length` with the model's padding, and its values.
        """
        assert self.conditions is not None, "only a model with conditions is told anything"
        told.added[slot] = self.conditions.added(values).to(self.dtype)
        attended = self.conditions.attended(voice, length).to(self.dtype)
        self.transformer.tell(attended, told.caches, slot)

    def forward(
        self, tokens: Tensor, state: TransformerState, slots: Tensor, told: ToldState | None = None
    ) -> LMOutput:
        """The next T steps of each slot.

        tokens: int64 [B, 1 + n_q, T] as they are fed (delays applied; -1: no input); slots: int64 [B], all
        different; told: of a model with conditions. T steps at once equal T calls with one, as long as the
        ring does not wrap among them.
        """
        return self.from_vectors(embed(tokens, self.emb, self.text_emb), state, slots, told)

    def from_vectors(
        self, vectors: Tensor, state: TransformerState, slots: Tensor, told: ToldState | None = None
    ) -> LMOutput:
        """As `forward`, of what tokens are embedded as: [B, T, D], the sum over the channels."""
        if told is not None:
            vectors = vectors + told.added[slots][:, None]
        hidden = self.out_norm(self.transformer(vectors, state, slots, () if told is None else told.caches))
        return LMOutput(hidden, self.text_linear(hidden))

    def extra_probabilities(self, hidden: Tensor) -> Tensor:
        """Softmax of each extra head, [B, T, heads, dim]; for speech to text, the semantic voice activity."""
        if not self.extra_heads:
            return hidden.new_empty(*hidden.shape[:2], 0, self.config.extra_heads_dim)
        return torch.stack([head(hidden).softmax(dim=-1) for head in self.extra_heads], dim=2)
