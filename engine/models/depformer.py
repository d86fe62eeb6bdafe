"""The transformer over one frame's codebooks: each given the ones before it (Moshi paper 3.4.2)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from engine.kernels.fused import fused
from engine.models.config import DepformerConfig, LMConfig
from engine.models.embedding import Embedding
from engine.models.linear import AnyLinear, Linear
from engine.models.norm import Norm, make_norm
from engine.models.rope import Rotation, rotation, sine_embedding
from engine.models.transformer import GatedFeedForward, LayerScale, residual

Pick = Callable[[int, Tensor], Tensor]


@fused("step_attention")
def step_attention(projected: Tensor, keys: Tensor, values: Tensor, step: int) -> Tensor:
    """Softmax attention of one step of a frame over the steps so far, [B, 1, H * head_dim].

    projected: [B, 1, (H + 2 kv_H) * head_dim], queries, keys, values; keys and values: [B, kv_H, steps,
    head_dim], where this step's are written first.
    """
    batch, kv_heads, _, head_dim = keys.shape
    heads = projected.shape[-1] // head_dim - 2 * kv_heads
    parts = projected.view(batch, -1, head_dim)
    query, key, value = parts.split_with_sizes((heads, kv_heads, kv_heads), dim=1)
    keys[:, :, step] = key
    values[:, :, step] = value
    shared = query.reshape(batch, kv_heads, heads // kv_heads, head_dim)
    scores = (shared @ keys[:, :, : step + 1].transpose(2, 3)).float() * head_dim**-0.5
    y: Tensor = scores.softmax(dim=-1).to(values.dtype) @ values[:, :, : step + 1]
    return y.reshape(batch, 1, heads * head_dim)


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
        self,
        x: Tensor,
        norm: Norm,
        step: int,
        weights: int,
        keys: Tensor,
        values: Tensor,
        turn: Rotation | None,
        onto: Tensor | None = None,
    ) -> Tensor:
        """onto + attention of norm(x), [B, 1, D]; keys and values as `step_attention` takes them."""
        projected = self.in_projs[weights](x, norm)
        if turn is not None:
            parts = projected.unflatten(-1, (-1, self.head_dim))
            turned = self.heads + self.kv_heads
            parts = torch.cat([turn(parts[:, :, :turned]), parts[:, :, turned:]], dim=2)
            projected = parts.flatten(2)
        y: Tensor = self.out_projs[weights](step_attention(projected, keys, values, step), onto=onto)
        return y


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
        self.layer_scale_1 = LayerScale(config.dim) if config.layer_scale else None
        self.layer_scale_2 = LayerScale(config.dim) if config.layer_scale else None

    def forward(
        self, x: Tensor, step: int, weights: int, keys: Tensor, values: Tensor, turn: Rotation | None
    ) -> Tensor:
        """As x, [B, 1, D], which is given up."""
        attend = partial(self.self_attn, x, self.norm1, step, weights, keys, values, turn)
        x = residual(attend, self.layer_scale_1, x)
        return residual(partial(self.gating[weights], x, self.norm2), self.layer_scale_2, x)


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
        # One product for all steps, for none of them changes what goes in.
        self.depformer_in = linear(config.transformer.dim, depformer.inputs * dim)
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
            make_norm(depformer.head_norm, dim) for _ in range(depformer.steps) if depformer.head_norm
        )
        self.linears = nn.ModuleList(
            linear(dim, config.card, config.bias_proj) for _ in range(depformer.steps)
        )

    def forward(self, hidden: Tensor, text: Tensor, pick: Pick) -> Tensor:
        """Codes int64 [B, run].

        hidden: [B, D] of the main transformer; text: int64 [B], this step's text token; pick(k, logits
        [B, card]) chooses codebook k.
        """
        config = self.config
        keys, values = self.depformer.new_frame(hidden.shape[0], hidden)
        into = self.depformer_in(hidden).unflatten(-1, (config.inputs, config.dim))
        embeddings = [self.depformer_text_emb, *self.depformer_emb]
        token, codes = text, []
        for step in range(config.run):
            heard = into[:, config.schedule[step] if config.multi_linear else 0]
            x = self.depformer(embeddings[step](token, onto=heard)[:, None], step, keys, values)
            norm = self.depformer_norms[step] if config.head_norm else None
            token = pick(step, self.linears[step](x, norm)[:, 0])
            codes.append(token)
        return torch.stack(codes, dim=1)
