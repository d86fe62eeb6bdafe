"""Packets through a cable, without a namespace: both its ends are sockets here."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from load_tests.network.cable import Cable, Passage
from load_tests.network.lane import Lane
from load_tests.network.profile import Conditions

COUNT = 200
TIMEOUT_S = 30.0


@contextmanager
def cable(up: Conditions, down: Conditions) -> Iterator[tuple[socket.socket, socket.socket, list[Passage]]]:
    """The far ends of both sides; what was passed is known after the block."""
    (inside, near), (outside, far) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    for end in (near, far):
        end.setblocking(False)
    until, stop = os.pipe()
    inside.settimeout(TIMEOUT_S)
    outside.settimeout(TIMEOUT_S)
    passages: list[Passage] = []
    moved = Cable(near.fileno(), far.fileno(), Lane(up, 1), Lane(down, 2), None)
    thread = threading.Thread(target=lambda: passages.append(moved.run(until)))
    thread.start()
    try:
        yield inside, outside, passages
    finally:
        os.close(stop)
        thread.join()
        os.close(until)
        for end in (inside, outside, near, far):
            end.close()


def test_packets_arrive_whole_and_in_order_in_both_directions() -> None:
    with cable(Conditions(delay_ms=5), Conditions(delay_ms=5, jitter_ms=2)) as (inside, outside, passages):
        for number in range(COUNT):
            inside.send(b"up %d" % number)
            outside.send(b"down %d" % number)
            if number % 10 == 9:
                last = range(number - 9, number + 1)
                assert [outside.recv(100) for _ in last] == [b"up %d" % each for each in last]
                assert [inside.recv(100) for _ in last] == [b"down %d" % each for each in last]
    (passage,) = passages
    assert (passage.up.passed, passage.up.lost) == (COUNT, 0)
    assert (passage.down.passed, passage.down.lost) == (COUNT, 0)


def test_what_was_lost_is_counted_and_never_arrives() -> None:
    arrived = []
    with cable(Conditions(loss_percent=50, loss_burst=2), Conditions()) as (inside, outside, passages):
        for number in range(COUNT):
            inside.send(b"%d" % number)
            # When this one is through, so is that before it, if it was not lost.
            outside.send(b"tick")
            inside.recv(100)
            if select.select([outside], [], [], 0)[0]:
                arrived.append(int(outside.recv(100)))
    (passage,) = passages
    assert passage.up.passed == len(arrived) == COUNT - passage.up.lost
    assert 0 < passage.up.lost < COUNT
    assert arrived == sorted(arrived)
    assert f"up {len(arrived)} packets, {passage.up.lost} lost" in str(passage)
