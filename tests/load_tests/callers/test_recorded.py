from dataclasses import replace
from pathlib import Path

import numpy as np

from load_tests.callers.line import LineMeasured
from load_tests.callers.recorded import PIECE_SAMPLES, CallRecorded


def test_a_call_is_read_as_it_was_written(tmp_path: Path) -> None:
    call = CallRecorded(
        3,
        "phone",
        "room",
        join_s=0.5,
        first_audio_s=0.4,
        due_at_s=0.01,
        out_at_s=np.array([0.01, 0.03]),
        heard=np.arange(2 * PIECE_SAMPLES, dtype=np.int16).reshape(2, -1),
        arrived_at_s=np.array([0.2, 0.22]),
        line=LineMeasured(1.0, 2.0, 30.0, 0.01),
        latency={"p50_ms": 30},
        attributes={"moshi.model": "parrot"},
    )
    call.write(tmp_path)
    again = CallRecorded.read(tmp_path, 3)
    for name in ("out_at_s", "heard", "arrived_at_s"):
        assert np.array_equal(getattr(again, name), getattr(call, name))
    nothing = CallRecorded(0, "", "")
    arrays = {name: getattr(nothing, name) for name in ("out_at_s", "heard", "arrived_at_s")}
    assert repr(replace(again, **arrays)) == repr(replace(call, **arrays))


def test_so_is_one_that_did_not_come_about(tmp_path: Path) -> None:
    CallRecorded(0, "webrtc", "room", refused="full", refused_after_s=0.3).write(tmp_path)
    again = CallRecorded.read(tmp_path, 0)
    assert (again.refused, again.refused_after_s, len(again.heard)) == ("full", 0.3, 0)
