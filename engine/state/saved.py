"""A session's snapshot as bytes, for another process or another machine.

8 bytes of magic, u32 version, u32 length of the header, u64 length of the tensors, all little endian; the
header, a JSON object {"fingerprint", "session", "parts": [[dtype, shape], ...]}; the tensors; their CRC-32.
"""

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import SnapshotError
from engine.state.slot_state import SlotState
from engine.state.snapshot import Snapshot

VERSION = 1
_MAGIC = b"moshises"
_HEAD = struct.Struct("<8sIIQ")
_CHECKSUM = struct.Struct("<I")
_MOST_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What a slot held, and what its service knows of the session: plain values that JSON can carry."""

    snapshot: Snapshot
    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SavedForm:
    """How one engine saves and loads sessions: those of a model with its `fingerprint`, for slots of `state`.

    pinned: in memory that a CUDA device copies from by itself.
    """

    fingerprint: str
    state: SlotState
    pinned: bool = False

    def save(self, saved: SavedSession) -> Iterator[bytes | memoryview]:
        """As `save`."""
        return save(saved, self.fingerprint)

    def load(self, source: BinaryIO) -> SavedSession:
        """As `load`."""
        return load(source, self.fingerprint, self.state, pinned=self.pinned)


def save(saved: SavedSession, fingerprint: str) -> Iterator[bytes | memoryview]:
    """The bytes, in pieces. fingerprint: of the model, by which `load` knows whether it is the same."""
    parts = saved.snapshot.parts
    body = {
        "fingerprint": fingerprint,
        "session": dict(saved.session),
        "parts": [[_name(part.dtype), list(part.shape)] for part in parts],
    }
    header = json.dumps(body).encode()
    yield _HEAD.pack(_MAGIC, VERSION, len(header), saved.snapshot.nbytes) + header
    checksum = 0
    for part in parts:
        piece = _bytes(part)
        checksum = zlib.crc32(piece, checksum)
        yield piece
    yield _CHECKSUM.pack(checksum)


def load(source: BinaryIO, fingerprint: str, state: SlotState, *, pinned: bool = False) -> SavedSession:
    """Read what `save` wrote, for a slot of `state`. Nothing is allocated before all sizes are known to fit.

    pinned: in memory that a CUDA device copies from by itself. Raises SnapshotError.
    """
    magic, version, header_bytes, tensor_bytes = _HEAD.unpack(_read(source, _HEAD.size))
    if magic != _MAGIC:
        raise SnapshotError("these are not the bytes of a session")
    if version != VERSION:
        raise SnapshotError(f"the session was saved in version {version}; this engine reads {VERSION}")
    if header_bytes > _MOST_HEADER_BYTES:
        raise SnapshotError(f"a header of {header_bytes} bytes; at most {_MOST_HEADER_BYTES} are read")
    header = _Header.parse(_read(source, header_bytes))
    if header.fingerprint != fingerprint:
        raise SnapshotError(
            "the session is of another model, or of this one in other precisions: "
            f"{header.fingerprint[:12]} where this engine has {fingerprint[:12]}"
        )
    kinds = header.kinds(state)
    if sum(dtype.itemsize * math.prod(shape) for dtype, shape in kinds) != tensor_bytes:
        raise SnapshotError(f"{tensor_bytes} bytes of tensors do not fit what the header says of them")
    parts, checksum = [], 0
    for dtype, shape in kinds:
        part = torch.empty(shape, dtype=dtype, pin_memory=pinned)
        _fill(source, _bytes(part))
        checksum = zlib.crc32(_bytes(part), checksum)
        parts.append(part)
    if _CHECKSUM.pack(checksum) != _read(source, _CHECKSUM.size):
        raise SnapshotError("the session was damaged on its way: its checksum is another")
    try:
        state.check(parts)
    except ValueError as error:
        raise SnapshotError(f"no session leaves such a state behind: {error}") from None
    return SavedSession(Snapshot(parts), header.session)


@dataclass(frozen=True, slots=True)
class _Header:
    fingerprint: str
    session: dict[str, Any]
    parts: list[tuple[str, list[int]]]

    @classmethod
    def parse(cls, text: bytes) -> "_Header":
        try:
            body = json.loads(text)
            parts = [(str(name), [int(size) for size in shape]) for name, shape in body["parts"]]
            return cls(str(body["fingerprint"]), dict(body["session"]), parts)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
            raise SnapshotError("the header of the session cannot be read") from None

    def kinds(self, state: SlotState) -> list[tuple[torch.dtype, list[int]]]:
        """Type and shape of each tensor, none larger than a slot of `state` has room for."""
        room = [(tensor.dtype, list(tensor.shape[1:])) for tensor in state.tensors()]
        if len(room) != len(self.parts):
            raise SnapshotError(f"the session has {len(self.parts)} tensors; this engine's have {len(room)}")
        for (name, shape), (dtype, most) in zip(self.parts, room, strict=True):
            fits = len(shape) == len(most) and all(0 <= n <= m for n, m in zip(shape, most, strict=True))
            if name != _name(dtype) or not fits:
                raise SnapshotError(
                    f"a tensor {name} {shape} of the session has no place in {_name(dtype)} {most}"
                )
        return [(dtype, shape) for (_, shape), (dtype, _) in zip(self.parts, room, strict=True)]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _bytes(part: Tensor) -> memoryview:
    """The memory of a tensor on the host."""
    array: NDArray[np.uint8] = part.contiguous().reshape(-1).view(torch.uint8).numpy()
    return array.data


def _read(source: BinaryIO, size: int) -> bytes:
    found = source.read(size)
    if len(found) != size:
        raise SnapshotError("the session is cut off")
    return found


def _fill(source: BinaryIO, room: memoryview) -> None:
    while room:
        # What reads from a network gives less than was asked for.
        piece = source.read(min(len(room), _MOST_HEADER_BYTES))
        if not piece:
            raise SnapshotError("the session is cut off")
        room[: len(piece)] = piece
        room = room[len(piece) :]
