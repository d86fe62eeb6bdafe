"""Packets in and out of an Ogg stream (RFC 3533), one page at a time, for a transport that loses nothing."""

import struct

from engine.errors import SessionError

_HEADER = struct.Struct(
    "<4sBBqIIIB"
)  # capture pattern, version, flags, granule, serial, page, checksum, segments
_MAGIC = b"OggS"
_BEGIN = _MAGIC + b"\0"  # and the only version that there is
_CHECKSUM_AT = 22
_CONTINUED, _FIRST = 1, 2
_MAX_PACKET_BYTES = 64 * 1024
_POLYNOMIAL = 0x04C11DB7


def is_ogg(sound: bytes) -> bool:
    """Whether the bytes begin an Ogg page."""
    return sound.startswith(_MAGIC)


class OggReader:
    """Takes bytes in pieces of any length, gives whole packets."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._packet = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The packets that `piece` completes. Raises SessionError for what is no Ogg."""
        self._bytes += piece
        packets: list[bytes] = []
        while (page := self._next_page()) is not None:
            packets += self._packets(*page)
        return packets

    def _next_page(self) -> tuple[bytes, bytes] | None:
        """The lengths of a page's segments and its body, if all of it has come."""
        if not _BEGIN.startswith(self._bytes[: len(_BEGIN)]):
            raise SessionError("the sound is no Ogg stream: each page begins with OggS")
        if len(self._bytes) < _HEADER.size:
            return None
        body_at = _HEADER.size + self._bytes[_HEADER.size - 1]
        lengths = bytes(self._bytes[_HEADER.size : body_at])
        end = body_at + sum(lengths)
        if len(self._bytes) < end or len(lengths) < body_at - _HEADER.size:
            return None
        if not self._bytes[5] & _CONTINUED:
            self._packet.clear()
        body = bytes(self._bytes[body_at:end])
        del self._bytes[:end]
        return lengths, body

    def _packets(self, lengths: bytes, body: bytes) -> list[bytes]:
        packets = []
        at = 0
        for length in lengths:
            self._packet += body[at : at + length]
            at += length
            if length < 255:
                packets.append(bytes(self._packet))
                self._packet.clear()
            elif len(self._packet) > _MAX_PACKET_BYTES:
                raise SessionError(f"a packet of over {_MAX_PACKET_BYTES // 1024} KiB is no sound")
        return packets


class OggWriter:
    """Gives pages of one stream."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._pages = 0

    def page(self, packets: list[bytes], granule: int) -> bytes:
        """One page with all of `packets`, of at most 255 segments. `granule`: samples at its end."""
        lengths = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        flags = 0 if self._pages else _FIRST
        header = _HEADER.pack(_MAGIC, 0, flags, granule, self._serial, self._pages, 0, len(lengths))
        page = bytearray(header + lengths + b"".join(packets))
        struct.pack_into("<I", page, _CHECKSUM_AT, _checksum(page))
        self._pages += 1
        return bytes(page)


def _row(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = tuple(map(_row, range(256)))


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
