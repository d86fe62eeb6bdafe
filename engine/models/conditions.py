"""What a model is told once, when a session begins (`ConditionProvider`, `ConditionFuser`), in float32."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engine.models.config import ConditionsConfig, ValueConfig
from engine.models.embedding import Embedding
from engine.models.linear import Linear
from engine.models.rope import sine_embedding

_MAX_PERIOD = 10_000.0


class Value(nn.Module):
    """One of a few values as a vector (`LUTConditioner`)."""

    def __init__(self, config: ValueConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        # Files have a row and a padding for no value as well, which no session is without here.
        self.embed = Embedding(config.bins + 1, config.dim)
        self.output_proj = Linear(config.dim, dim)
        self.learnt_padding = nn.Parameter(torch.empty(1, 1, dim), requires_grad=False)

    def forward(self, value: str) -> Tensor:
        """[D]. value: one of the configuration's."""
        y: Tensor = self.output_proj(self.embed.weight[self.config.values.index(value)])
        return y


class Voices(nn.Module):
    """Voices as a model attends to them (`TensorConditioner`)."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.output_proj = Linear(inputs, dim)
        self.learnt_padding = nn.Parameter(torch.empty(1, 1, dim), requires_grad=False)

    def forward(self, vectors: Tensor, length: int) -> Tensor:
        """[length, D]: the vectors [T, inputs], and after them the padding that the model has learnt."""
        padding = self.learnt_padding[0].expand(length - len(vectors), -1)
        return torch.cat([self.output_proj(vectors), padding])


class Conditions(nn.Module):
    """All conditions of a model."""

    def __init__(self, config: ConditionsConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.values = nn.ModuleDict({value.name: Value(value, dim) for value in config.values})
        self.voice = Voices(config.voice_dim, dim)

    def added(self, values: Mapping[str, str]) -> Tensor:
        """What is added to the input of every step, [D]; values: one for each that the configuration has."""
        y = torch.zeros_like(self.voice.learnt_padding[0, 0])
        for name, value in self.values.items():
            y = y + value(values[name])
        return y

    def attended(self, vectors: Tensor, length: int) -> Tensor:
        """What every layer attends to, [length, D]. vectors: [T, voice_dim], T at most `length`."""
        y: Tensor = self.voice(vectors, length)
        positions = torch.arange(length, device=y.device)[None]
        sines = sine_embedding(positions, y.shape[1], _MAX_PERIOD, y.dtype)[0]
        return y + self.config.position_scale * sines
