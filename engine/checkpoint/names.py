"""The official names of tensors, and where each goes in our modules."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.config import LMConfig
from engine.models.conv import Conv, ConvTranspose, Downsample, PointConv, StridedConv, Upsample
from engine.models.embedding import StackedEmbeddings
from engine.models.linear import AnyLinear
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.rvq import ResidualQuantizer, codebook_table

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Official tensors that together make one of ours, or one row of it.

    `sources` holds names in the newer, split naming, with shapes. `target` is our tensor's name, None for one
    that the file has and nobody needs; `row` the row, or the rows, of a stacked one; `arrange` takes the
    sources to our layout. Where weights get 8 bits on their way, `quantise` does that to the result, and
    `target` has a companion for the scales that it gives as well.
    """

    sources: Mapping[str, Shape]
    target: str | None
    row: int | slice | None = None
    arrange: Callable[..., Tensor] = lambda tensor: tensor
    quantise: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a split tensor lies in a file: part `part` of `parts` along the rows of tensor `key`."""

    key: str
    part: int = 0
    parts: int = 1

    def read(self, file: Any) -> Tensor:
        """The split tensor, from an open safetensors file."""
        if self.parts == 1:
            tensor: Tensor = file.get_tensor(self.key)
            return tensor
        whole = file.get_slice(self.key)
        rows = whole.get_shape()[0] // self.parts
        part: Tensor = whole[self.part * rows : (self.part + 1) * rows]
        return part


def mimi_entries(mimi: Mimi) -> list[Entry]:
    """What a file of Mimi holds (`MimiModel.state_dict`)."""
    entries: list[Entry] = []
    for path, module in mimi.named_modules():
        name = _official_mimi(path, stages=len(mimi.config.seanet.ratios))
        if isinstance(module, Conv):
            entries += _conv(path, name, module)
        elif isinstance(module, StridedConv | ConvTranspose):
            entries += _overlapping(path, name, module)
        elif isinstance(module, Downsample):
            shape = (module.dim, module.dim, 2 * module.stride)
            entries.append(Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=_windowed))
        elif isinstance(module, PointConv):
            entries.append(
                Entry({f"{name}.weight": (*module.weight.shape, 1)}, f"{path}.weight", arrange=_point)
            )
            entries.append(Entry({f"{name}.bias": tuple(module.bias.shape)}, f"{path}.bias"))
        elif isinstance(module, Upsample):
            shape = (module.dim, 1, 2 * module.stride)
            entries.append(Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=_upsample))
        elif isinstance(module, ResidualQuantizer):
            entries += _codebooks(path, module)
            for proj in ("input_proj", "output_proj"):
                weight = getattr(module, proj).weight
                key = {f"{path}.{proj}.weight": (*weight.shape, 1)}
                entries.append(Entry(key, f"{path}.{proj}.weight", arrange=_point))
        elif "_transformer" in path:
            scale = _LAYER_SCALES.get(path.partition(".layers.")[2].partition(".")[2])
            if scale and mimi.config.transformer.layer_scale:
                entries.append(_scaled(path, name, module, scale))
            else:
                entries += _own(path, name, module)
    return entries


def lm_entries(lm: LM) -> list[Entry]:
    """What a file of the language model holds (`LMModel.state_dict`)."""
    entries: list[Entry] = []
    for path, module in lm.named_modules():
        name = _official_lm(path, lm.config)
        if isinstance(module, StackedEmbeddings):
            ours = {"weight": "weight", "norm_weight": "norm.weight", "norm_bias": "norm.bias"}
            for table in range(module.weight.shape[0]):
                for own, theirs in ours.items():
                    tensor = getattr(module, own)
                    if tensor is not None:
                        source = {f"{name}.{table}.{theirs}": tuple(tensor.shape[1:])}
                        entries.append(Entry(source, f"{path}.{own}", row=table))
        elif path == "depformer.depformer_in":
            entries += _ways_in(path, lm.config, module)
        elif (part := path.rpartition(".cross_attention.")[2]) in _CROSS_PARTS:
            entries += _of_three(path, name, module, _CROSS_PARTS[part])
        else:
            entries += _own(path, name, module, lm.config.quantize)
    return entries


def lm_unused(lm: LM) -> str | None:
    """The prefix of keys that a file may hold without use: the way into a depformer that is gone."""
    return "depformer_in." if lm.depformer is None else None


def weight_sets(names: Iterable[str]) -> dict[str, int]:
    """For each attention (by prefix) how many sets of weights its fused tensors hold."""
    sets: dict[str, int] = {}
    for name in names:
        prefix, projection, _ = name.partition("in_projs.")
        if projection and name.endswith(".weight"):
            sets[prefix] = sets.get(prefix, 0) + 1
    return sets


def pieces(wanted: str, keys: Mapping[str, Shape], sets: Mapping[str, int]) -> Piece | None:
    """Where the tensor that is officially `wanted` lies in a file with `keys`, under its new or an older
    name.

    `sets`: as `weight_sets` gives them.
    """
    if wanted in keys:
        return Piece(wanted)
    projection = re.fullmatch(
        r"(.*\.(?:self_attn|cross_attention)\.)(in|out)_projs\.(\d+)\.((?:lora_[AB]\.)?weight)(_scb)?", wanted
    )
    if projection:
        prefix, side, index, kind, scale = projection.groups()
        for fused in (f"{prefix}{side}_proj_{kind}", f"{prefix}{side}_proj.{kind}"):
            key = fused + (scale or "")
            if key in keys:
                return Piece(key, int(index), sets[prefix])
    codebook = re.fullmatch(r"(.*\._codebook\.)(\w+)", wanted)
    if codebook:
        for older in _OLDER_CODEBOOK.get(codebook[2], ()):
            if codebook[1] + older in keys:
                return Piece(codebook[1] + older)
    return None


_OLDER_CODEBOOK = {
    "_initialized": ("inited",),
    "cluster_usage": ("cluster_size",),
    "embedding_sum": ("embed_avg", "embed_sum"),
}


def _ways_in(path: str, config: LMConfig, module: nn.Module) -> Iterator[Entry]:
    """Upstream has a matrix for each set of weights; we have those that are needed in one."""
    depformer = config.depformer
    assert depformer is not None
    dim = depformer.dim
    for index in range(depformer.weight_sets if depformer.multi_linear else 1):
        rows = slice(index * dim, (index + 1) * dim)
        for entry in _own(path, f"depformer_in.{index}", module, config.quantize):
            sources = {name: (dim, *shape[1:]) for name, shape in entry.sources.items()}
            target = entry.target if index < depformer.inputs else None
            yield replace(entry, sources=sources, target=target, row=rows)


def _own(path: str, name: str, module: nn.Module, quantised: bool = False) -> Iterator[Entry]:
    """A module's own tensors, stored as they are used; 8-bit ones only if the file is `quantised`."""
    narrows = isinstance(module, AnyLinear) and module.stored is not None and not quantised
    quantise = module.quantised if isinstance(module, AnyLinear) and narrows else None
    for own, tensor in module.named_parameters(recurse=False):
        if not (narrows and own == "weight_scb"):
            sources = {f"{name}.{own}": tuple(tensor.shape)}
            yield Entry(sources, f"{path}.{own}", quantise=quantise if own == "weight" else None)


# Which thirds of upstream's one matrix, of queries, keys and values, these two are.
_CROSS_PARTS = {"query_proj": (0, 1), "key_value_proj": (1, 3)}


def _of_three(path: str, name: str, module: nn.Module, thirds: tuple[int, int]) -> Iterator[Entry]:
    """Some rows of the matrix that makes queries, keys and values."""
    for entry in _own(path, name, module):
        ((source, (rows, width)),) = entry.sources.items()
        dim = rows // (thirds[1] - thirds[0])
        part = slice(thirds[0] * dim, thirds[1] * dim)
        yield replace(entry, sources={source: (3 * dim, width)}, arrange=partial(_rows, part))


def _rows(part: slice, weight: Tensor) -> Tensor:
    return weight[part]


# The products that end the two branches of a layer, and what official files scale each of them by.
_LAYER_SCALES = {
    "self_attn.out_proj": "layer_scale_1",
    "gating.linear2": "layer_scale_2",
    "gating.linear_out": "layer_scale_2",
}


def _scaled(path: str, name: str, module: nn.Module, scale: str) -> Entry:
    """A product that brings the scale of its outputs along."""
    weight = module.get_parameter("weight")
    layer = re.sub(r"(layers\.\d+)\..*", r"\1", name)
    sources = {f"{name}.weight": tuple(weight.shape), f"{layer}.{scale}.scale": (weight.shape[0],)}
    return Entry(sources, f"{path}.weight", arrange=_scaled_rows)


def _conv(path: str, name: str, module: Conv) -> Iterator[Entry]:
    def neighbours(weight: Tensor) -> Tensor:
        window, count, taps = _windowed(weight), module.neighbours, module.inputs
        return torch.cat([F.pad(window, (i * taps, (count - 1 - i) * taps)) for i in range(count)])

    shape = (module.outputs, module.inputs, module.kernel)
    yield Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=neighbours)
    bias: Shape = (module.outputs,)
    yield Entry({f"{name}.bias": bias}, f"{path}.bias", arrange=lambda b: b.repeat(module.neighbours))


def _overlapping(path: str, name: str, module: StridedConv | ConvTranspose) -> Iterator[Entry]:
    taps = 2 * module.stride
    if isinstance(module, ConvTranspose):
        shape, arrange, repeats = (module.inputs, module.outputs, taps), _conv_transpose, module.stride
    else:
        shape, arrange, repeats = (module.outputs, module.inputs, taps), _strided, 1
    yield Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=arrange)

    def once(bias: Tensor) -> Tensor:
        now = bias.repeat(repeats)
        return torch.cat([now, torch.zeros_like(now)])

    yield Entry({f"{name}.bias": (module.outputs,)}, f"{path}.bias", arrange=once)


def _codebooks(path: str, module: ResidualQuantizer) -> Iterator[Entry]:
    count, bins, width = module.tables.shape
    for index in range(count):
        prefix = f"{path}.vq.layers.{index}._codebook."
        sources: dict[str, Shape] = {
            f"{prefix}embedding_sum": (bins, width - 2),
            f"{prefix}cluster_usage": (bins,),
        }
        yield Entry(sources, f"{path}.tables", row=index, arrange=codebook_table)
        yield Entry({f"{prefix}_initialized": (1,)}, None)


def _windowed(weight: Tensor) -> Tensor:
    return weight.permute(0, 2, 1).flatten(1)


def _strided(weight: Tensor) -> Tensor:
    earlier, latest = _windowed(weight).chunk(2, dim=1)
    return torch.cat([latest, earlier])


def _conv_transpose(weight: Tensor) -> Tensor:
    return weight.permute(2, 1, 0).flatten(0, 1)


def _scaled_rows(weight: Tensor, scale: Tensor) -> Tensor:
    # In float32, which the codec is in, whatever the file is in.
    return scale.float()[:, None] * weight.float()


def _point(weight: Tensor) -> Tensor:
    return weight[:, :, 0]


def _upsample(weight: Tensor) -> Tensor:
    return weight[:, 0].T


def _official_mimi(path: str, stages: int) -> str:
    """`encoder.stages.1.down` -> `encoder.model.6.conv.conv`: positions count the activations between as
    well.
    """
    stage = re.fullmatch(r"(encoder|decoder)\.stages\.(\d+)\.(.*)", path)
    if stage:
        half, index, rest = stage[1], int(stage[2]), stage[3]
        residual, resample = (1, 3) if half == "encoder" else (3, 2)
        where = {
            "residual.wide": f"{3 * index + residual}.block.1.conv.conv",
            "residual.point": f"{3 * index + residual}.block.3.conv.conv",
            "down": f"{3 * index + resample}.conv.conv",
            "up": f"{3 * index + resample}.convtr.convtr",
        }
        return f"{half}.model.{where.get(rest, rest)}"
    path = re.sub(r"^(encoder|decoder)\.first$", r"\1.model.0.conv.conv", path)
    path = re.sub(r"^(encoder|decoder)\.last$", rf"\1.model.{3 * stages + 2}.conv.conv", path)
    path = re.sub(r"^downsample$", "downsample.conv.conv.conv", path)
    path = re.sub(r"^upsample$", "upsample.convtr.convtr.convtr", path)
    path = re.sub(r"_transformer\.layers", "_transformer.transformer.layers", path)
    return _official_layer(path)


def _official_lm(path: str, config: LMConfig) -> str:
    """`depformer.depformer.layers.0` -> `depformer.layers.0`: upstream has all parts side by side."""
    path = re.sub(r"^depformer\.(depformer|linears)", r"\1", path)
    path = re.sub(r"^conditions\.values\.", "condition_provider.conditioners.", path)
    if config.conditions is not None:
        voice = f"condition_provider.conditioners.{config.conditions.voice}"
        path = re.sub(r"^conditions\.voice(?=\.|$)", voice, path)
    return _official_layer(path)


def _official_layer(path: str) -> str:
    path = re.sub(r"\.cross_attention\.(query|key_value)_proj$", ".cross_attention.in_projs.0", path)
    path = re.sub(r"\.(self_attn|cross_attention)\.(in|out)_proj$", r".\1.\2_projs.0", path)
    return re.sub(r"\.gating\.(linear[12])$", r".\1", path)
