"""PersonaPlex's bundled voices, which are pickles, as safetensors: once, by whoever has them."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from engine.errors import VoiceError
from engine.persona.voice import write

_MOST_BYTES = 256 * 2**20


def convert(sources: list[Path], out: Path) -> Iterator[Path]:
    """Write OUT/NAME.safetensors for each voice: .pt files, folders of them, or voices.tgz as it was
    released; each path as it is written. Raises VoiceError.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VoiceError(f"cannot write to {out}: {error.strerror}") from None
    for source in sources:
        for name, content in _pickles(source):
            path = out / f"{name}.safetensors"
            write(path, *_converted(name, content))
            yield path


def _pickles(source: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each voice in a file, a folder or an archive."""
    if source.is_dir():
        files = sorted(source.glob("*.pt"))
        if not files:
            raise VoiceError(f"{source}: no .pt file is in this folder")
        for file in files:
            yield file.stem, file.read_bytes()
    elif not source.is_file():
        raise VoiceError(f"{source}: no such file or folder")
    elif source.suffix == ".pt":
        yield source.stem, source.read_bytes()
    else:
        yield from _archived(source)


def _archived(source: Path) -> Iterator[tuple[str, bytes]]:
    # Read and never unpacked: what an archive calls its files is no path of ours.
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.suffix != ".pt" or name.name.startswith("."):
                    continue
                if member.size > _MOST_BYTES:
                    raise VoiceError(f"{source}: {name.name} has {member.size} bytes, more than any voice")
                content = archive.extractfile(member)
                assert content is not None, "a file has content"
                yield name.stem, content.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise VoiceError(f"{source}: neither a .pt file nor an archive of them ({error})") from None


def _converted(name: str, content: bytes) -> tuple[Tensor, Tensor]:
    """Vectors [N - 1, D] and the tokens int64 [K, 2] of the last two frames.

    A voice is kept as what the model was fed at each position, and its cache of tokens [1, K, C] as the last
    frame has left it: a token of channel k and frame n lies at (n + delay[k]) % C there.
    """
    try:
        # Offline, and tensors alone: of programs in it nothing is run.
        held: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # noqa: TID251
        vectors, cache = held["embeddings"], held["cache"]
        vectors, cache = vectors.reshape(len(vectors), vectors.shape[-1]), cache[0].to(torch.int64)
        channels, capacity = cache.shape
    except Exception:  # noqa: BLE001  # whatever the reader makes of a file that is none
        raise VoiceError(f"{name}: not a voice of PersonaPlex: it has no embeddings and cache") from None
    half = (channels - 1) // 2
    if capacity < 3 or len(vectors) < 2 or channels != 1 + 2 * half or not half:
        raise VoiceError(f"{name}: not a voice of PersonaPlex: {len(vectors)} positions, {channels} channels")
    delays = torch.tensor([0] + 2 * ([0] + [1] * (half - 1)))
    last = torch.arange(len(vectors) - 1, len(vectors) + 1)
    places = (last + delays[:, None]) % capacity
    return vectors, cache.gather(1, places)
