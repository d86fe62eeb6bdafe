"""The official names of tensors, and where each goes in our modules."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from engine.models.conv import Conv, ConvTranspose, PointConv, Upsample
from engine.models.embedding import StackedEmbeddings
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.rvq import ResidualQuantizer, codebook_table

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Official tensors that together make one of ours, or one row of it.

    `sources` holds names in the newer, split naming, with shapes. `target` is our tensor's name, None for one
    that the file has and nobody needs; `row` the row of a stacked one; `arrange` takes the sources to our
    layout.
    """

    sources: Mapping[str, Shape]
    target: str | None
    row: int | None = None
    arrange: Callable[..., Tensor] = lambda tensor: tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a split tensor lies in a file: part `part` of `parts` along the rows of tensor `key`."""

    key: str
    part: int = 0
    parts: int = 1


def mimi_entries(mimi: Mimi) -> list[Entry]:
    """What a file of Mimi holds (`MimiModel.state_dict`)."""
    entries: list[Entry] = []
    for path, module in mimi.named_modules():
        name = _official_mimi(path, stages=len(mimi.config.seanet.ratios))
        if isinstance(module, Conv):
            shape = (module.outputs, module.inputs, module.kernel)
            entries.append(Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=_conv))
        elif isinstance(module, ConvTranspose):
            shape = (module.inputs, module.outputs, 2 * module.stride)
            entries.append(Entry({f"{name}.weight": shape}, f"{path}.weight", arrange=_conv_transpose))
        elif isinstance(module, PointConv):
            entries.append(
                Entry({f"{name}.weight": (*module.weight.shape, 1)}, f"{path}.weight", arrange=_point)
            )
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
            entries += _own(path, name, module)
            continue
        if isinstance(getattr(module, "bias", None), Tensor):
            entries.append(Entry({f"{name}.bias": tuple(module.bias.shape)}, f"{path}.bias"))
    return entries


def lm_entries(lm: LM) -> list[Entry]:
    """What a file of the language model holds (`LMModel.state_dict`)."""
    entries: list[Entry] = []
    for path, module in lm.named_modules():
        name = _official_lm(path)
        if isinstance(module, StackedEmbeddings):
            ours = {"weight": "weight", "norm_weight": "norm.weight", "norm_bias": "norm.bias"}
            for table in range(module.weight.shape[0]):
                for own, theirs in ours.items():
                    tensor = getattr(module, own)
                    if tensor is not None:
                        source = {f"{name}.{table}.{theirs}": tuple(tensor.shape[1:])}
                        entries.append(Entry(source, f"{path}.{own}", row=table))
        else:
            entries += _own(path, name, module)
    return entries


def lm_unused(lm: LM) -> str | None:
    """The prefix of keys that a file may hold without use: the way into a depformer that is gone."""
    return "depformer_in." if lm.depformer is None else None


def pieces(wanted: str, keys: Mapping[str, Shape], sets: Mapping[str, int]) -> Piece | None:
    """Where the tensor that is officially `wanted` lies in a file with `keys`, under its new or an older
    name.

    `sets`: for each attention (by prefix) how many sets of weights its fused tensors hold.
    """
    if wanted in keys:
        return Piece(wanted)
    projection = re.fullmatch(r"(.*\.self_attn\.)(in|out)_projs\.(\d+)\.(weight)(_scb)?", wanted)
    if projection:
        prefix, side, index, _, scale = projection.groups()
        for fused in (f"{prefix}{side}_proj_weight", f"{prefix}{side}_proj.weight"):
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


def _own(path: str, name: str, module: nn.Module) -> Iterator[Entry]:
    """A module's own tensors, stored as they are used."""
    for own, tensor in module.named_parameters(recurse=False):
        yield Entry({f"{name}.{own}": tuple(tensor.shape)}, f"{path}.{own}")


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


def _conv(weight: Tensor) -> Tensor:
    return weight.permute(0, 2, 1).flatten(1)


def _conv_transpose(weight: Tensor) -> Tensor:
    return weight.permute(2, 1, 0).flatten(0, 1)


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
    path = re.sub(r"^downsample\.conv$", "downsample.conv.conv.conv", path)
    path = re.sub(r"^upsample$", "upsample.convtr.convtr.convtr", path)
    path = re.sub(r"_transformer\.layers", "_transformer.transformer.layers", path)
    return _official_layer(path)


def _official_lm(path: str) -> str:
    """`depformer.depformer.layers.0` -> `depformer.layers.0`: upstream has all parts side by side."""
    path = re.sub(r"^depformer\.(depformer|linears)", r"\1", path)
    return _official_layer(path)


def _official_layer(path: str) -> str:
    path = re.sub(r"\.self_attn\.(in|out)_proj$", r".self_attn.\1_projs.0", path)
    return re.sub(r"\.gating\.(linear[12])$", r".\1", path)
