"""The transformer over one frame's codebooks: each given the ones before it (Moshi paper 3.4.2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.models.config import DepformerConfig, LMConfig
from engine.models.embedding import Embedding
from engine.models.linear import AnyLinear, Linear
from engine.models.norm import make_norm
from engine.models.rope import Rotation, rotation, sine_embedding
from engine.models.transformer import GatedFeedForward, LayerScale

Pick = Callable[[int, Tensor], Tensor]


class StepAttention(nn.Module):
    """Self-attention over the steps of a frame, with one set of weights for each."""

    def __init__(self, config: DepformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.heads // config.kv_repeat
        self.head_dim = config.dim // config.heads
        width = (self.heads + 2 * self.kv_heads) * self.head_dim
        self.in_projs = nn.ModuleList(linear(config.dim, width) for _ in range(config.weight_sets))
        self.out_projs = nn.ModuleList(linear(config.dim, config.dim) for _ in range(config.weight_sets))

    def forward(
        self, x: Tensor, step: int, weights: int, keys: Tensor, values: Tensor, turn: Rotation | None
    ) -> Tensor:
        """[B, 1, D]. Writes this step into keys and values [B, H, steps, head_dim], and reads up to it."""
        heads, kv_heads, batch = self.heads, self.kv_heads, x.shape[0]
        projected = self.in_projs[weights](x).unflatten(-1, (heads + 2 * kv_heads, self.head_dim))
        query_key, value = projected.split((heads + kv_heads, kv_heads), dim=2)
        if turn is not None:
            query_key = turn(query_key)
        query, key = query_key.transpose(1, 2).split((heads, kv_heads), dim=1)
        keys[:, :, step] = key[:, :, 0]
        values[:, :, step] = value[:, 0]
        shared = query.reshape(batch, kv_heads, heads // kv_heads, self.head_dim)
        scores = (shared @ keys[:, :, : step + 1].transpose(2, 3)).float() * self.head_dim**-0.5
        y = scores.softmax(dim=-1).to(values.dtype) @ values[:, :, : step + 1]
        z: Tensor = self.out_projs[weights](y.reshape(batch, 1, heads * self.head_dim))
        return z


class DepformerLayer(nn.Module):
    """One layer: norms shared by all steps, matrices by none or by those that the schedule says."""

    def __init__(self, config: DepformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self.norm1 = make_norm(config.norm, config.dim)
        self.self_attn = StepAttention(config, linear)
        self.norm2 = make_norm(config.norm, config.dim)
        self.gating = nn.ModuleList(
            GatedFeedForward(config.dim, feedforward, config.gating, linear)
            for feedforward in config.feedforward
        )
        self.layer_scale_1 = LayerScale(config.dim) if config.layer_scale else nn.Identity()
        self.layer_scale_2 = LayerScale(config.dim) if config.layer_scale else nn.Identity()

    def forward(
        self, x: Tensor, step: int, weights: int, keys: Tensor, values: Tensor, turn: Rotation | None
    ) -> Tensor:
        """As x, [B, 1, D]."""
        x = x + self.layer_scale_1(self.self_attn(self.norm1(x), step, weights, keys, values, turn))
        y: Tensor = x + self.layer_scale_2(self.gating[weights](self.norm2(x)))
        return y


class DepformerStack(nn.Module):
    """The layers alone; their keys and values live for one frame."""

    def __init__(self, config: DepformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self._config = config
        self.layers = nn.ModuleList(DepformerLayer(config, linear) for _ in range(config.layers))

    def new_frame(self, batch: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Room for keys and values, [layers, B, H, steps, head_dim] each."""
        config = self._config
        shape = (
            config.layers,
            batch,
            config.heads // config.kv_repeat,
            config.run,
            config.dim // config.heads,
        )
        return like.new_empty(shape), like.new_empty(shape)

    def forward(self, x: Tensor, step: int, keys: Tensor, values: Tensor) -> Tensor:
        """Step `step` of a frame, [B, 1, D]."""
        config = self._config
        turn = None
        if config.positions != "none":
            position = torch.full((x.shape[0], 1), step, device=x.device)
            if config.positions in ("sin", "sin_rope"):
                x = x + config.position_scale * sine_embedding(
                    position, config.dim, config.max_period, x.dtype
                )
            if "rope" in config.positions:
                head_dim = config.dim // config.heads
                turn = rotation(position, head_dim, config.max_period, config.positions != "rope_concat")
        for layer, layer_keys, layer_values in zip(self.layers, keys, values, strict=True):
            x = layer(x, step, config.schedule[step], layer_keys, layer_values, turn)
        return x


class Depformer(nn.Module):
    """Says the codebooks of one frame, one after the other."""

    def __init__(
        self, config: LMConfig, depformer: DepformerConfig, linear: type[AnyLinear] = Linear
    ) -> None:
        super().__init__()
        self.config = depformer
        dim = depformer.dim
        inputs = depformer.weight_sets if depformer.multi_linear else 1
        self.depformer_in = nn.ModuleList(linear(config.transformer.dim, dim) for _ in range(inputs))
        low_rank, norm = depformer.low_rank, config.norm_emb
        self.depformer_emb = nn.ModuleList(
            Embedding(config.card + 1, dim, linear, low_rank=low_rank, norm=norm)
            for _ in range(depformer.steps - 1)
        )
        self.depformer_text_emb = Embedding(
            config.text_card + 1, dim, linear, low_rank=low_rank, norm=norm, demux=config.demux_text
        )
        self.depformer = DepformerStack(depformer, linear)
        self.depformer_norms = nn.ModuleList(
            make_norm(depformer.head_norm, dim) if depformer.head_norm else nn.Identity()
            for _ in range(depformer.steps)
        )
        self.linears = nn.ModuleList(
            linear(dim, config.card, config.bias_proj) for _ in range(depformer.steps)
        )

    def forward(self, hidden: Tensor, text: Tensor, pick: Pick) -> Tensor:
        """Codes int64 [B, run].

        hidden: [B, D] of the main transformer; text: int64 [B], this step's text token; pick(k, logits
        float32 [B, card]) chooses codebook k.
        """
        config = self.config
        keys, values = self.depformer.new_frame(hidden.shape[0], hidden)
        said = self.depformer_text_emb(text)
        codes: list[Tensor] = []
        for step in range(config.run):
            into = self.depformer_in[config.schedule[step] if config.multi_linear else 0]
            x = self.depformer((into(hidden) + said)[:, None], step, keys, values)
            logits = self.linears[step](self.depformer_norms[step](x))[:, 0]
            codes.append(pick(step, logits.float()))
            if step + 1 < config.run:
                said = self.depformer_emb[step](codes[step])
        return torch.stack(codes, dim=1)
