"""Another address in an IPv4 packet, its checksums kept right (RFC 1624).

A server that listens on this machine's loopback alone is given to a namespace in this way: there, 127.0.0.1
is the namespace itself.
"""

import struct

LOOPBACK = b"\x7f\x00\x00\x01"
SOURCE, DESTINATION = 12, 16
_SHORTEST = 20
_TCP, _UDP = 6, 17
_FRAGMENT_OFFSET = 0x1FFF
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}


def exchange(packet: bytes, at: int, old: bytes, new: bytes) -> bytes:
    """The packet with `new` for its address `at` (SOURCE or DESTINATION); as it is if that is not `old`."""
    if len(packet) < _SHORTEST or packet[0] >> 4 != 4 or packet[at : at + 4] != old:
        return packet
    changed = bytearray(packet)
    changed[at : at + 4] = new
    _correct(changed, 10, old, new)
    header = (packet[0] & 0x0F) * 4
    if packet[9] in _CHECKSUM_AT and not int.from_bytes(packet[6:8]) & _FRAGMENT_OFFSET:
        checksum_at = header + _CHECKSUM_AT[packet[9]]
        checksum = packet[checksum_at : checksum_at + 2]
        # UDP's may be left out, and is zero then.
        if len(checksum) == 2 and (packet[9] == _TCP or any(checksum)):
            _correct(changed, checksum_at, old, new)
    return bytes(changed)


def _correct(packet: bytearray, at: int, old: bytes, new: bytes) -> None:
    total = ~struct.unpack_from("!H", packet, at)[0] & 0xFFFF
    for before, after in zip(struct.unpack("!2H", old), struct.unpack("!2H", new), strict=True):
        total += (~before & 0xFFFF) + after
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", packet, at, ~total & 0xFFFF)
