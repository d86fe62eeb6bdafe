"""From what callers said and heard to numbers, when all calls are over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_S, SAMPLE_RATE
from load_tests.callers import hearing
from load_tests.callers.hearing import HOP_S, Features
from load_tests.callers.holes import holes
from load_tests.callers.recorded import PIECE_S, CallRecorded
from load_tests.callers.script import Script
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S, Ear, Mouth
from load_tests.measured import SOCKETS, CallMeasured
from load_tests.report import listener
from load_tests.report.budget import HOP_MS
from worker.caller.microphone import SPEAKING_RATE

CAME_BACK = 0.6
LEAKED = 0.5
LONGEST_S = 2.5
"""An answer that is later than this, beyond the model's delay, did not come back."""
_SOONER_S = 0.1
_EVERY = 4
"""Leaks are looked for in one of so many rows of features: whether they are there is asked, not when."""


@dataclass(frozen=True, slots=True)
class Said:
    """A caller's utterance as it is to be found: when it was begun, its sound at 24 kHz, its features."""

    at_s: float
    sound: NDArray[np.int16]
    features: Features


def said_by(recorded: CallRecorded, script: Script) -> tuple[Said, ...]:
    """What a caller has said whole; nothing if they were refused."""
    mouth = Mouth.of(recorded)
    spoken_s = PIECE_S * len(recorded.out_at_s)
    said = []
    for each in script.utterances:
        if each.at_s + len(each.sound) / SPEAKING_RATE < spoken_s:
            # espeak-ng says nothing above half of 24 kHz.
            sound = each.sound[:: SPEAKING_RATE // SAMPLE_RATE]
            said.append(Said(mouth.at(each.at_s), sound, hearing.features(sound)))
    return tuple(said)


def measured(
    recorded: CallRecorded,
    script: Script,
    own: Sequence[Said],
    others: Sequence[Said],
    model_delay_s: float | None,
) -> CallMeasured:
    """One call. own, others: what this caller has said, and everybody else.

    model_delay_s: None if the model does not repeat what it hears. All of the script counts as said, whether
    its caller was let in or not.
    """
    latency = recorded.latency
    line = recorded.line
    call = CallMeasured(
        recorded.number,
        recorded.kind,
        recorded.room,
        refused=recorded.refused,
        refused_after_s=recorded.refused_after_s,
        lost=recorded.lost,
        join_s=recorded.join_s,
        first_audio_s=recorded.first_audio_s,
        said=len(script.utterances),
        gaps_ms=listener.holes([float(at_s) for at_s in recorded.arrived_at_s], PIECE_S),
        send_late_ms=_send_late_ms(recorded),
        jitter_ms=line.jitter_ms,
        rtt_ms=line.rtt_ms,
        concealed_share=line.concealed_share,
        jitter_buffer_ms=line.jitter_buffer_ms,
        frames=round(latency.get("frames", 0)),
        missed=round(latency.get("missed", 0)),
        answer_ms=_answer_ms(latency),
        said_at_s=tuple(recorded.begins_at_s + each.at_s for each in script.utterances),
        there_s=_there_s(recorded),
    )
    if not len(recorded.heard):
        return call
    if model_delay_s is None:
        return replace(call, lag_estimate_ms=_estimate_ms(recorded))
    heard = _Heard(recorded, model_delay_s)
    found = [one for each in own if (one := heard.find(each)) is not None]
    begins_at_s = recorded.begins_at_s
    return replace(
        call,
        heard=len(found),
        lags_ms=tuple(1000 * one.lag_s for one in found),
        heard_said_at_s=tuple(begins_at_s + one.said_at_s for one in found),
        similarity=tuple(one.similarity for one in found),
        gaps_ms=call.gaps_ms + tuple(hole for one in found for hole in one.holes_ms),
        leaked=heard.leaks(others),
    )


@dataclass(frozen=True, slots=True)
class _CameBack:
    said_at_s: float
    lag_s: float
    similarity: float
    holes_ms: tuple[float, ...]


class _Heard:
    """What one caller heard, searched for what was said."""

    def __init__(self, recorded: CallRecorded, model_delay_s: float) -> None:
        self._ear = Ear.of(recorded)
        self._pcm = recorded.heard.reshape(-1)
        self._features = hearing.features(self._pcm)
        self._own = np.zeros_like(self._features)
        self._soonest_s = max(0.0, model_delay_s - _SOONER_S)
        self._latest_s = model_delay_s + LONGEST_S

    def find(self, said: Said) -> _CameBack | None:
        """Where it came back, and whether it is whole."""
        rows = self._rows(said)
        found = hearing.find(said.features, self._features[rows])
        if found.similarity < CAME_BACK:
            return None
        at_s = rows.start * HOP_S + found.at_s
        row = round(at_s / HOP_S)
        own = self._own[row : row + len(said.features)]
        own[:] = np.maximum(own, said.features[: len(own)])
        sample = round(at_s * SAMPLE_RATE)
        cut = holes(said.sound, self._pcm[sample : sample + len(said.sound)])
        return _CameBack(said.at_s, self._ear.at(at_s) - said.at_s, found.similarity, cut)

    def leaks(self, others: Sequence[Said]) -> int:
        """How many of these can be heard, apart from what `find` has found before."""
        return sum(
            hearing.find(each.features[::_EVERY], self._features[rows], self._own[rows]).similarity >= LEAKED
            for each in others
            for rows in (self._rows(each, _EVERY),)
        )

    def _rows(self, said: Said, every: int = 1) -> slice:
        """Of the features, where it would come back."""
        first = round(self._ear.place(said.at_s + self._soonest_s) / HOP_S)
        window = round((self._latest_s - self._soonest_s) / HOP_S) + len(said.features)
        return slice(first, first + window, every)


def _send_late_ms(recorded: CallRecorded) -> tuple[float, float, float] | None:
    if not len(recorded.out_at_s):
        return None
    due_at_s = recorded.due_at_s + PIECE_S * np.arange(len(recorded.out_at_s))
    p50, p95, p99 = (
        float(value) for value in np.percentile(1000 * (recorded.out_at_s - due_at_s), (50, 95, 99))
    )
    return p50, p95, p99


def _there_s(recorded: CallRecorded) -> tuple[float, float] | None:
    if not len(recorded.arrived_at_s):
        return None
    return recorded.begins_at_s, recorded.begins_at_s + float(recorded.arrived_at_s[-1])


def _estimate_ms(recorded: CallRecorded) -> tuple[float, float, float] | None:
    """As the budget has it: what worker and engine tell, with the jitter buffer there, and what is around."""
    line, answer_ms = recorded.line, _answer_ms(recorded.latency)
    if answer_ms is None:
        return None
    around_ms = 1000 * (FRAME_S + PLAYOUT_S)
    if recorded.kind not in SOCKETS:
        if line.jitter_buffer_ms is None:
            return None
        around_ms += 1000 * CAPTURE_S + 2 * HOP_MS + (line.rtt_ms or 0.0) + line.jitter_buffer_ms
    p50, p95, p99 = (each + around_ms for each in answer_ms)
    return p50, p95, p99


def _answer_ms(latency: Mapping[str, float]) -> tuple[float, float, float] | None:
    if "p50_ms" not in latency:
        return None
    return latency["p50_ms"], latency["p95_ms"], latency["p99_ms"]
