import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SessionError
from engine.service.ogg import OggReader, OggWriter, is_ogg
from engine.service.opus import OpusReader, OpusWriter, duration_s

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(4 * 1920) / 24_000)).astype("<i2").tobytes()


def opus_stream() -> bytes:
    writer = OpusWriter(serial=1)
    return b"".join(writer.encode(TONE[at : at + 3840]) for at in range(0, len(TONE), 3840))


@given(st.lists(st.binary(max_size=600), max_size=3), st.integers(1, 700))
def test_packets_come_out_whole_whatever_the_pieces(packets: list[bytes], piece: int) -> None:
    page = OggWriter(1).page(packets, 0)
    reader = OggReader()
    found = [packet for at in range(0, len(page), piece) for packet in reader.feed(page[at : at + piece])]
    assert found == packets


def test_a_packet_that_goes_on_in_the_next_page_is_put_together() -> None:
    long = bytes(range(256)) * 2
    first, second = OggWriter(1), OggWriter(1)
    begin, end = bytearray(first.page([long[:510]], 0)), bytearray(second.page([long[510:]], 0))
    # Without the segment of length 0 the packet has no end in the first page.
    begin[26] -= 1
    del begin[29]
    end[5] = 1
    assert OggReader().feed(bytes(begin + end)) == [long]


def test_what_is_no_ogg_is_refused_at_its_first_bytes() -> None:
    assert not is_ogg(b"RIFF")
    with pytest.raises(SessionError, match="begins with OggS"):
        OggReader().feed(b"RIFF")


def test_another_programs_reader_plays_our_stream() -> None:
    with av.open(io.BytesIO(opus_stream()), "r") as file:
        samples = sum(frame.samples for frame in file.decode(file.streams.audio[0]))
    # FFmpeg leaves out what the encoder looked ahead.
    assert samples == 4 * 3840 - 312


def test_a_frame_of_an_answer_is_one_page_of_80_ms() -> None:
    writer, reader = OpusWriter(1), OpusReader()
    for _ in range(3):
        packets = reader.feed(writer.encode(bytes(3840)))
        assert sum(map(duration_s, packets)) == pytest.approx(0.08)


def test_sound_survives_the_way_there_and_back() -> None:
    reader = OpusReader()
    heard = np.frombuffer(reader.decode(reader.feed(opus_stream())), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(heard[1920:5760]))
    assert np.argmax(spectrum) * 24_000 / 3840 == pytest.approx(440, abs=7)
    assert np.sqrt(np.mean(heard[1920:5760] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        (bytes([0 << 3]), 10),
        (bytes([3 << 3 | 1]), 120),
        (bytes([13 << 3]), 20),
        (bytes([16 << 3 | 3, 48]), 120),
        (bytes([31 << 3 | 2]), 40),
    ],
)
def test_a_packet_says_how_long_it_sounds(packet: bytes, milliseconds: int) -> None:
    assert duration_s(packet) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize("packet", [b"", bytes([3]), bytes([3, 0]), bytes([3 << 3 | 3, 63])])
def test_a_packet_that_says_nonsense_is_refused(packet: bytes) -> None:
    with pytest.raises(SessionError, match="no Opus"):
        duration_s(packet)


def test_a_damaged_packet_is_an_error_of_its_sender() -> None:
    with pytest.raises(SessionError, match="no Opus"):
        OpusReader().decode([b"\x02\xfb\x00"])
