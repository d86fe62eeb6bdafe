import numpy as np
import pytest

from engine.step.frames import SAMPLE_RATE
from load_tests.sockets.chat_line import PIECE_S, ChatLine, coded


def test_a_recording_is_one_opus_stream_with_a_page_for_each_piece() -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)
    pages = coded(tone)
    assert len(pages) == round(1 / PIECE_S)
    heard = ChatLine.decoded(None, pages)  # type: ignore[arg-type]  # needs no connection
    assert len(heard) == pytest.approx(len(tone), abs=100)
    assert np.abs(heard[4800:-4800]).max() == pytest.approx(8000, rel=0.1)
