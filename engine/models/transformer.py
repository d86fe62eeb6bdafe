"""The causal transformer that Mimi and the language model share (`StreamingTransformer`)."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kernels.fused import on_kernels
from engine.models.attention import Window, ring_attention, ring_write
from engine.models.config import KvPrecision, TransformerConfig
from engine.models.cross_attention import CrossAttention
from engine.models.linear import AnyLinear, Linear
from engine.models.norm import Norm, make_norm
from engine.models.rope import Rotation, rotation, sine_embedding
from engine.state.ring_cache import RingCache, TransformerState
from engine.state.told_cache import ToldCache

# By the names of the configurations, which are torch's.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(F, name) for name in ("silu", "gelu", "elu", "leaky_relu", "mish", "softsign")},
    **{name: getattr(torch, name) for name in ("relu", "sigmoid", "tanh")},
    "identity": lambda x: x,
}


class Attention(nn.Module):
    """Self-attention of one layer; rows of `in_proj` are queries, keys, values."""

    def __init__(self, config: TransformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self.in_proj = linear(config.dim, (config.heads + 2 * config.kv_heads) * config.head_dim)
        self.out_proj = linear(config.dim, config.dim)

    def forward(
        self,
        x: Tensor,
        norm: Norm,
        ring: RingCache,
        slots: Tensor,
        window: Window,
        turn: Rotation | None,
        onto: Tensor | None = None,
    ) -> Tensor:
        """onto + attention of norm(x), [B, T, D]; writes the new keys and values first."""
        query = ring_write(self.in_proj(x, norm), ring, slots, window, turn)
        y: Tensor = self.out_proj(ring_attention(query, ring, slots, window), onto=onto)
        return y


class FeedForward(nn.Module):
    """Two matrices with an exact GELU between them."""

    def __init__(self, dim: int, hidden: int, linear: type[AnyLinear]) -> None:
        super().__init__()
        self.linear1 = linear(dim, hidden)
        self.linear2 = linear(hidden, dim)

    def forward(self, x: Tensor, norm: Norm, onto: Tensor | None = None) -> Tensor:
        """As x: onto + what it makes of norm(x)."""
        y: Tensor = self.linear2(F.gelu(self.linear1(x, norm)), onto=onto)
        return y


class GatedFeedForward(nn.Module):
    """Half of the first product gates the other half (`ActivationGating`)."""

    def __init__(self, dim: int, feedforward: int, activation: str, linear: type[AnyLinear]) -> None:
        super().__init__()
        hidden = gated_width(dim, feedforward)
        self.linear_in = linear(dim, 2 * hidden)
        self.linear_out = linear(hidden, dim)
        self._activation = activation

    def forward(self, x: Tensor, norm: Norm, onto: Tensor | None = None) -> Tensor:
        """As `FeedForward.forward`."""
        y: Tensor = self.linear_out(self._hidden(x, norm), onto=onto)
        return y

    def _hidden(self, x: Tensor, norm: Norm) -> Tensor:
        if self._activation == "silu":
            return self.linear_in.gated(x, norm)
        gate, value = self.linear_in(x, norm).chunk(2, dim=-1)
        hidden: Tensor = ACTIVATIONS[self._activation](gate) * value
        return hidden


class LayerScale(nn.Module):
    """Scales each channel of a residual branch (Touvron et al. 2021)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(dim), requires_grad=False)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """onto + scale * x."""
        return torch.addcmul(onto, self.scale, x) if on_kernels(x) else onto + self.scale * x


class TransformerLayer(nn.Module):
    """Norm and attention, in some models norm and cross-attention, norm and feed-forward, each added to its
    input.
    """

    def __init__(self, config: TransformerConfig, linear: type[AnyLinear]) -> None:
        super().__init__()
        self.norm1 = make_norm(config.norm, config.dim)
        self.self_attn = Attention(config, linear)
        self.norm2 = make_norm(config.norm, config.dim)
        self.gating = (
            FeedForward(config.dim, config.feedforward, linear)
            if config.gating == "none"
            else GatedFeedForward(config.dim, config.feedforward, config.gating, linear)
        )
        self.layer_scale_1 = LayerScale(config.dim) if config.layer_scale else None
        self.layer_scale_2 = LayerScale(config.dim) if config.layer_scale else None
        self.cross_attention = CrossAttention(config, linear) if config.cross_attention else None
        if config.cross_attention:
            self.norm_cross = make_norm("layer_norm", config.dim)
            self.layer_scale_cross = LayerScale(config.dim) if config.layer_scale else None

    def forward(
        self,
        x: Tensor,
        ring: RingCache,
        slots: Tensor,
        window: Window,
        turn: Rotation | None,
        told: ToldCache | None = None,
    ) -> Tensor:
        """As x, which is given up. told: what a layer with cross-attention attends to."""
        attend = partial(self.self_attn, x, self.norm1, ring, slots, window, turn)
        x = residual(attend, self.layer_scale_1, x)
        if self.cross_attention is not None:
            assert told is not None, "what attends to a voice needs one"
            listen = partial(self.cross_attention, x, self.norm_cross, told, slots)
            x = residual(listen, self.layer_scale_cross, x)
        return residual(partial(self.gating, x, self.norm2), self.layer_scale_2, x)


def residual(branch: Callable[..., Tensor], scale: LayerScale | None, x: Tensor) -> Tensor:
    """x and what `branch` adds to it, scaled or not; a branch that is not scaled does the addition itself."""
    return branch(onto=x) if scale is None else scale(branch(), x)


class Transformer(nn.Module):
    """Layers without a final norm."""

    def __init__(self, config: TransformerConfig, linear: type[AnyLinear] = Linear) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(TransformerLayer(config, linear) for _ in range(config.layers))

    def new_state(
        self, slots: int, device: torch.device, dtype: torch.dtype, kv: KvPrecision = "exact"
    ) -> TransformerState:
        """State for `slots` sessions; keys and values as `kv` says, and in `dtype` if exactly."""
        config = self.config
        rings = [
            RingCache(slots, config.kv_heads, config.context, config.head_dim, device, dtype, kv)
            for _ in range(config.layers)
        ]
        return TransformerState(slots, config.context, rings, device)

    def new_told(
        self, slots: int, length: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[ToldCache, ...]:
        """Room for what `slots` sessions are told, up to `length` vectors each; without cross-attention
        none.
        """
        config = self.config
        return tuple(
            ToldCache(slots, config.heads, length, config.head_dim, device, dtype)
            for _ in range(config.layers if config.cross_attention else 0)
        )

    def tell(self, told: Tensor, caches: Sequence[ToldCache], slot: int) -> None:
        """Lets the session in `slot` attend to `told`, [L, D], from now on."""
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, TransformerLayer)
            assert layer.cross_attention is not None
            layer.cross_attention.tell(told, cache, slot)

    def forward(
        self, x: Tensor, state: TransformerState, slots: Tensor, told: Sequence[ToldCache] = ()
    ) -> Tensor:
        """The next T positions of each slot, [B, T, D]. x: [B, T, D], T at most the context; told: of a model
        with cross-attention, one for each layer.

        T positions at once equal T calls with one, as long as the ring does not wrap among them.
        """
        config = self.config
        window = Window.ahead(state, slots, x.shape[1])
        if config.positions in ("sin", "sin_rope"):
            x = x + config.position_scale * sine_embedding(
                window.positions, config.dim, config.max_period, x.dtype
            )
        turn = None
        if "rope" in config.positions:
            turn = rotation(
                window.positions, config.head_dim, config.max_period, config.positions != "rope_concat"
            )
        for layer, ring, cache in zip_longest(self.layers, state.rings, told):
            x = layer(x, ring, slots, window, turn, cache)
        return x


def gated_width(dim: int, feedforward: int) -> int:
    """Hidden width of a gated feed-forward: two thirds, for it has three matrices, not two."""
    return 21 * dim // 8 if feedforward == 4 * dim else 2 * feedforward // 3
