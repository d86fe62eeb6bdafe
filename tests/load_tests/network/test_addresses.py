"""Addresses are exchanged, and the packet is still right: its checksums are reckoned anew to tell."""

import socket
import struct

import pytest

from load_tests.network.addresses import DESTINATION, LOOPBACK, SOURCE, exchange

INSIDE, HOST = socket.inet_aton("198.18.0.2"), socket.inet_aton("198.18.0.1")
TCP, UDP = 6, 17


def checksum(data: bytes) -> int:
    """RFC 1071, from the whole."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(protocol: int, source: bytes, destination: bytes, body: bytes, offset: int = 0) -> bytes:
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, offset, 64, protocol, 0, source, destination
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def packet(protocol: int, source: bytes, destination: bytes, payload: bytes) -> bytes:
    """A whole packet, its checksums reckoned from scratch."""
    if protocol == UDP:
        head, at = struct.pack("!HHHH", 4000, 7882, 8 + len(payload), 0), 6
    else:
        head, at = struct.pack("!HHIIBBHHH", 4000, 7880, 1, 2, 0x50, 0x18, 512, 0, 0), 16
    pseudo = source + destination + struct.pack("!HH", protocol, len(head) + len(payload))
    summed = struct.pack("!H", checksum(pseudo + head + payload))
    return ip_packet(protocol, source, destination, head[:at] + summed + head[at + 2 :] + payload)


@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize("payload", [b"", b"odd", b"\xff" * 200, bytes(range(256))])
def test_the_packet_is_as_if_it_had_been_made_with_the_other_address(protocol: int, payload: bytes) -> None:
    sent = packet(protocol, INSIDE, HOST, payload)
    assert exchange(sent, DESTINATION, HOST, LOOPBACK) == packet(protocol, INSIDE, LOOPBACK, payload)
    answer = packet(protocol, LOOPBACK, INSIDE, payload)
    assert exchange(answer, SOURCE, LOOPBACK, HOST) == packet(protocol, HOST, INSIDE, payload)


def test_other_addresses_and_ipv6_stay_as_they_are() -> None:
    for other in (packet(UDP, INSIDE, LOOPBACK, b"x"), b"\x60" + bytes(60), b""):
        assert exchange(other, DESTINATION, HOST, LOOPBACK) == other


def test_a_checksum_that_was_left_out_stays_out() -> None:
    body = struct.pack("!HHHH", 4000, 7882, 9, 0) + b"x"
    changed = exchange(ip_packet(UDP, INSIDE, HOST, body), DESTINATION, HOST, LOOPBACK)
    assert changed == ip_packet(UDP, INSIDE, LOOPBACK, body)


def test_in_a_later_fragment_there_is_no_second_checksum() -> None:
    body = bytes(range(40))
    changed = exchange(ip_packet(UDP, INSIDE, HOST, body, offset=5), DESTINATION, HOST, LOOPBACK)
    assert changed == ip_packet(UDP, INSIDE, LOOPBACK, body, offset=5)


def test_a_packet_that_is_cut_short_ends_nothing() -> None:
    whole = packet(TCP, INSIDE, HOST, b"hello")
    for length in range(len(whole)):
        exchange(whole[:length], DESTINATION, HOST, LOOPBACK)
