"""Shapes of the models. Needs no torch."""

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from engine.errors import CheckpointError

WeightPrecision = Literal["exact", "int8", "fp8"]
KvPrecision = Literal["exact", "int8", "e4m3"]

_ACTIVATIONS = (
    "silu",
    "gelu",
    "elu",
    "leaky_relu",
    "mish",
    "softsign",
    "relu",
    "sigmoid",
    "tanh",
    "identity",
)
_NORMS = ("layer_norm", "layer_norm_f32", "rms_norm", "rms_norm_f32")
_POSITIONS = ("rope", "rope_concat", "sin", "sin_rope", "none")


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise CheckpointError(f"config: '{name}' is {value!r}; accepted: {', '.join(accepted)}")


def _multiple(name: str, value: int, part: str, divisor: int) -> None:
    if divisor < 1 or value % divisor:
        raise CheckpointError(f"config: '{name}' {value} is no multiple of '{part}' {divisor}")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """A causal transformer that streams (`StreamingTransformer`). `context` counts positions; `feedforward`
    is the width before the gating rule. Widths per weight set are a list in the depformer alone.
    """

    dim: int
    heads: int
    layers: int
    feedforward: int
    context: int
    norm: str = "layer_norm"
    gating: str = "none"
    layer_scale: bool = False
    positions: str = "rope"
    max_period: float = 10_000.0
    position_scale: float = 1.0
    kv_repeat: int = 1
    cross_attention: bool = False

    def __post_init__(self) -> None:
        _one_of("norm", self.norm, _NORMS)
        _one_of("gating", self.gating, ("none", *_ACTIVATIONS))
        _one_of("positional_embedding", self.positions, _POSITIONS)
        _multiple("dim", self.dim, "num_heads", self.heads)
        _multiple("num_heads", self.heads, "kv_repeat", self.kv_repeat)
        if self.cross_attention and self.kv_repeat != 1:
            raise CheckpointError("config.json: with 'cross_attention' 'kv_repeat' can only be 1")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.heads

    @property
    def kv_heads(self) -> int:
        """Heads that keys and values have."""
        return self.heads // self.kv_repeat


@dataclass(frozen=True, slots=True)
class SeanetConfig:
    """The convolutional halves of Mimi (Moshi paper 3.3.1). `ratios` in the decoder's order."""

    dimension: int = 512
    n_filters: int = 64
    kernel_size: int = 7
    residual_kernel_size: int = 3
    last_kernel_size: int = 3
    compress: int = 2
    ratios: tuple[int, ...] = (8, 6, 5, 4)

    @property
    def hop(self) -> int:
        """Samples for each position that leaves the encoder."""
        hop = 1
        for ratio in self.ratios:
            hop *= ratio
        return hop


@dataclass(frozen=True, slots=True)
class QuantizerConfig:
    """Split residual vector quantiser: one semantic codebook, `n_q` - 1 acoustic ones (Moshi paper 3.3.2)."""

    dimension: int = 256
    n_q: int = 32
    bins: int = 2048


_OFFICIAL_MIMI_TRANSFORMER = TransformerConfig(
    dim=512, heads=8, layers=8, feedforward=2048, context=250, layer_scale=True
)


@dataclass(frozen=True, slots=True)
class MimiConfig:
    """The codec: 24 kHz mono to codes, 12.5 frames a second."""

    sample_rate: int = 24_000
    frame_rate: float = 12.5
    seanet: SeanetConfig = field(default_factory=SeanetConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    transformer: TransformerConfig = _OFFICIAL_MIMI_TRANSFORMER

    @classmethod
    def official(cls) -> Self:
        """Mimi as Kyutai released it."""
        return cls()

    @property
    def frame_samples(self) -> int:
        """Samples in a frame."""
        return round(self.sample_rate / self.frame_rate)

    @property
    def downsampling(self) -> int:
        """Positions of the transformers in a frame."""
        return self.frame_samples // self.seanet.hop


@dataclass(frozen=True, slots=True)
class DepformerConfig:
    """The transformer over the codebooks of one frame (Moshi paper 3.4.2).

    `steps` codebooks were trained and `run` of them are computed; step k uses the weight set `schedule[k]`,
    whose width before the gating rule is `feedforward[schedule[k]]`.
    """

    dim: int
    heads: int
    layers: int
    feedforward: tuple[int, ...]
    steps: int
    run: int
    schedule: tuple[int, ...]
    multi_linear: bool = True
    low_rank: int | None = None
    norm: str = "rms_norm_f32"
    head_norm: str | None = None
    gating: str = "silu"
    layer_scale: bool = False
    positions: str = "none"
    max_period: float = 10_000.0
    position_scale: float = 1.0
    kv_repeat: int = 1

    def __post_init__(self) -> None:
        _one_of("norm", self.norm, _NORMS)
        _one_of("depformer_gating", self.gating, _ACTIVATIONS)
        _one_of("depformer_pos_emb", self.positions, _POSITIONS)
        _multiple("depformer_dim", self.dim, "depformer_num_heads", self.heads)
        _multiple("depformer_num_heads", self.heads, "kv_repeat", self.kv_repeat)
        if self.head_norm is not None:
            _one_of("depformer_norm", self.head_norm, _NORMS)
        if len(self.schedule) != self.steps:
            raise CheckpointError(
                f"config.json: depformer_weights_per_step_schedule has {len(self.schedule)} entries "
                f"for dep_q {self.steps}"
            )
        if len(self.feedforward) != self.weight_sets:
            raise CheckpointError(
                f"config.json: depformer_dim_feedforward has {len(self.feedforward)} widths for "
                f"{self.weight_sets} sets of weights"
            )

    @property
    def weight_sets(self) -> int:
        """Sets of weights in each layer."""
        return max(self.schedule) + 1

    @property
    def inputs(self) -> int:
        """Ways in from the main transformer that the computed codebooks need."""
        return max(self.schedule[: self.run]) + 1 if self.multi_linear else 1


@dataclass(frozen=True, slots=True)
class ValueConfig:
    """A condition that is one of `values` (`LUTConditioner`), each a vector of `dim` in a table of `bins`."""

    name: str
    dim: int
    bins: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConditionsConfig:
    """What a model is told once, when a session begins: values, whose vectors are added to the input of every
    step, and a voice, vectors of `voice_dim` that each layer attends to.

    `position_scale`: of the sines that are added to the voice; 0 adds none.
    """

    values: tuple[ValueConfig, ...]
    voice: str
    voice_dim: int
    position_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LMConfig:
    """The language model over text and codes, for every member of the family.

    `delays` holds one entry a channel: text, own codebooks, then the codebooks that are heard.
    """

    transformer: TransformerConfig
    depformer: DepformerConfig | None
    delays: tuple[int, ...]
    n_q: int
    card: int
    text_card: int
    text_card_out: int
    text_padding_id: int = 3
    text_end_padding_id: int = 0
    norm_emb: bool = False
    bias_proj: bool = False
    demux_text: bool = False
    extra_heads: int = 0
    extra_heads_dim: int = 6
    quantize: bool = False
    conditions: ConditionsConfig | None = None

    def __post_init__(self) -> None:
        if len(self.delays) != self.n_q + 1:
            raise CheckpointError(
                f"config.json: {len(self.delays)} delays for {self.n_q + 1} channels (text + n_q)"
            )
        if self.steps_trained > self.n_q:
            raise CheckpointError(f"config.json: dep_q {self.steps_trained} is more than n_q {self.n_q}")

    @classmethod
    def moshi_7b(cls) -> Self:
        """Moshi as released: what a checkpoint without config.json is."""
        transformer = TransformerConfig(
            dim=4096,
            heads=32,
            layers=32,
            feedforward=16_896,
            context=3000,
            norm="rms_norm_f32",
            gating="silu",
        )
        depformer = DepformerConfig(
            dim=1024, heads=16, layers=6, feedforward=(4224,) * 8, steps=8, run=8, schedule=tuple(range(8))
        )
        return cls(
            transformer,
            depformer,
            (0, *(0, 1, 1, 1, 1, 1, 1, 1) * 2),
            16,
            card=2048,
            text_card=32_000,
            text_card_out=32_000,
        )

    @property
    def silent_text(self) -> tuple[int, int]:
        """Text tokens that stand for no text: the last padding before a word, and all other padding."""
        return self.text_end_padding_id, self.text_padding_id

    @property
    def steps_trained(self) -> int:
        """Codebooks that the depformer was trained to say (`dep_q`)."""
        return self.depformer.steps if self.depformer else 0

    @property
    def own_codebooks(self) -> int:
        """Codebooks that the model says in each frame."""
        return self.depformer.run if self.depformer else 0

    @property
    def heard_codebooks(self) -> int:
        """Codebooks that each frame must bring."""
        return self.n_q - self.own_codebooks

    @property
    def max_delay(self) -> int:
        """Frames between a time and the last of its tokens."""
        return max(self.delays)

    @classmethod
    def stt_1b(cls) -> Self:
        """Kyutai's `stt-1b-en_fr` with the heads that tell pauses."""
        transformer = TransformerConfig(
            dim=2048,
            heads=16,
            layers=16,
            feedforward=8448,
            context=750,
            norm="rms_norm_f32",
            gating="silu",
            max_period=100_000.0,
        )
        return cls(
            transformer,
            None,
            (0,) * 33,
            32,
            card=2048,
            text_card=8000,
            text_card_out=8000,
            extra_heads=4,
        )

    def trained_for(self, steps: int) -> Self:
        """The same model with a depformer of `steps` steps, each with weights of its own."""
        if self.depformer is None:
            return self
        feedforward = (self.depformer.feedforward[0],) * steps
        depformer = replace(
            self.depformer, steps=steps, run=steps, schedule=tuple(range(steps)), feedforward=feedforward
        )
        return replace(self, depformer=depformer)

    def running(self, steps: int) -> Self:
        """The same model that says only its first `steps` codebooks and hears the others (PersonaPlex: 8 of
        16).
        """
        if self.depformer is None or not 0 < steps <= self.depformer.steps:
            raise CheckpointError(
                f"config.json: cannot run {steps} of {self.steps_trained} codebooks (dep_q)"
            )
        return replace(self, depformer=replace(self.depformer, run=steps))


@dataclass(frozen=True, slots=True)
class SttConfig:
    """How a model that only listens was trained: its words come `delay_s` seconds after they were spoken, and
    it has heard `prefix_s` seconds of silence before the first of them.
    """

    delay_s: float
    prefix_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TtsConfig:
    """How a model that reads aloud was trained: its sound comes `delay` steps after the text, and it is shown
    the word `ahead` words after the one that it says. `tag`: what the files of its voices are marked with.
    """

    delay: int
    ahead: int = 0
    tag: str = ""
