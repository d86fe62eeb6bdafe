"""Four people talk to one engine in four rooms at the same time; a fifth finds no seat."""

import asyncio
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.end_to_end.conftest import SLOTS, environment
from tests.end_to_end.processes import ROOT, Running, get, python
from tests.end_to_end.sounds import TONES_HZ, keyed_phrases, share
from worker import sound_files
from worker.caller import SPEAKING_RATE, Caller, Segment, new_room
from worker.lag import Echo, find_echo
from worker.settings import LiveKitSettings

PHRASES = 3
TAIL_S = 2.5
TAKES = 3
pytestmark = pytest.mark.timeout(240)
(ONE_PHRASE,) = keyed_phrases(700, 1)
STAGES = {"queue", "step", "answer", "worker", "playout", "jitter"}


@dataclass(frozen=True, slots=True)
class Told:
    """What one caller said and what came of it."""

    tone_hz: int
    phrases: list[NDArray[np.int16]]
    heard: NDArray[np.int16]
    segments: list[Segment]
    states: list[str]


@dataclass(frozen=True, slots=True)
class Scene:
    """Four calls; the fifth caller's exit code, output and whether it wrote a file; the metrics while all
    were talking and afterwards.

    `takes`: how often it was played until the engine kept up with it.
    """

    calls: list[Told]
    refused: tuple[int, str]
    refused_wrote: bool
    during: list[Sample]
    afterwards: list[Sample]
    log: str
    takes: int = 1


def metrics(engine_port: int) -> list[Sample]:
    text = get(f"http://127.0.0.1:{engine_port}/metrics")
    assert text is not None
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(samples: list[Sample], name: str) -> float:
    (sample,) = (sample for sample in samples if sample.name == name)
    return sample.value


def worker_call(livekit: LiveKitSettings, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`python -m worker call` as its user starts it."""
    return subprocess.Popen(
        python("worker", "call", *arguments),
        cwd=folder,
        env=os.environ | environment(livekit) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def echoes(call: Told) -> list[Echo]:
    """What came back of each phrase."""
    begin, found = 0, []
    for phrase in call.phrases:
        said = phrase[:: SPEAKING_RATE // 24_000]
        found.append(find_echo(said, call.heard[begin : begin + len(said) + round(TAIL_S * 24_000)]))
        begin += len(said)
    return found


async def talk(livekit: LiveKitSettings, tone_hz: int, all_talk: asyncio.Barrier) -> Told:
    phrases = keyed_phrases(tone_hz, PHRASES)
    async with Caller.join(livekit, new_room()) as caller:
        await caller.wait_for_agent()
        await all_talk.wait()
        await caller.say(np.concatenate(phrases))
        await asyncio.sleep(TAIL_S)
        return Told(tone_hz, phrases, caller.heard, caller.segments, caller.states)


async def play(livekit: LiveKitSettings, engine_port: int, worker: Running, folder: Path) -> Scene:
    sound_files.write(folder / "in.wav", ONE_PHRASE, SPEAKING_RATE)
    all_talk = asyncio.Barrier(len(TONES_HZ) + 1)
    async with asyncio.TaskGroup() as scene:
        calls = [scene.create_task(talk(livekit, tone_hz, all_talk)) for tone_hz in TONES_HZ]
        await all_talk.wait()
        fifth = worker_call(livekit, folder, "in.wav", "refused.wav")
        await asyncio.sleep(8)
        during = await asyncio.to_thread(metrics, engine_port)
        _, errors = await asyncio.to_thread(fifth.communicate)
    afterwards = await seats_free_again(engine_port)
    told = [call.result() for call in calls]
    wrote = (folder / "refused.wav").exists()
    return Scene(told, (fifth.returncode, errors), wrote, during, afterwards, worker.said())


async def seats_free_again(engine_port: int) -> list[Sample]:
    """The metrics once nobody is in a call any more, or after five seconds."""
    for _ in range(50):
        now = await asyncio.to_thread(metrics, engine_port)
        if not value(now, "moshi_seats_used"):
            break
        await asyncio.sleep(0.1)
    return now


def late_share(before: list[Sample], after: list[Sample]) -> float:
    """How many of the frames in between were answered too late, 0 to 1."""
    missed, frames = (
        value(after, name) - value(before, name)
        for name in ("moshi_missed_frames_total", "moshi_frames_total")
    )
    return missed / frames


@pytest.fixture(scope="module")
def scene(
    livekit: LiveKitSettings, engine_port: int, worker: Running, tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    # A machine that is busy with something else cuts sound: that says nothing of us. Then we play it again.
    folder, before = tmp_path_factory.mktemp("scene"), metrics(engine_port)
    takes = 1
    scene = asyncio.run(play(livekit, engine_port, worker, folder))
    while takes < TAKES and late_share(before, scene.afterwards) > 0.1:
        takes, before = takes + 1, scene.afterwards
        scene = asyncio.run(play(livekit, engine_port, worker, folder))
    return replace(scene, takes=takes)


@pytest.fixture(params=range(len(TONES_HZ)), ids=[f"{tone}-hz" for tone in TONES_HZ])
def call(request: pytest.FixtureRequest, scene: Scene) -> Told:
    told: Told = scene.calls[request.param]
    return told


def test_everybody_hears_themselves_and_nobody_else(call: Told) -> None:
    shares = {tone_hz: share(call.heard, tone_hz) for tone_hz in TONES_HZ}
    assert shares.pop(call.tone_hz) > 0.6
    assert max(shares.values()) < 0.05


def test_the_answer_is_as_late_as_the_model_and_the_way_there_and_back(call: Told) -> None:
    # The parrot repeats after 1007 ms; frames and two jitter buffers take 160 ms more on an idle machine. A
    # busy one stalls now and then, so that not every phrase comes back in one piece or as soon.
    echo = max(echoes(call), key=lambda echo: echo.correlation)
    assert echo.correlation > 0.6
    assert 1.05 < echo.lag_s < 1.6


def test_the_answer_is_as_loud_as_the_caller(call: Told) -> None:
    said = np.concatenate([phrase[::2] for phrase in call.phrases])
    energy_said, energy_heard = (float(np.sum(pcm.astype(np.float64) ** 2)) for pcm in (said, call.heard))
    assert abs(10 * np.log10(energy_heard / energy_said)) < 8


def test_every_phrase_is_answered_with_its_words_once(call: Told) -> None:
    assert [segment.text for segment in call.segments] == ["I hear you."] * PHRASES
    assert all(segment.final and segment.track_sid.startswith("TR_") for segment in call.segments)


def test_the_states_that_apps_show_come_and_go(call: Told) -> None:
    assert call.states[-2 * PHRASES :] == ["speaking", "listening"] * PHRASES


def test_the_caller_after_the_last_seat_is_refused(scene: Scene) -> None:
    exit_code, errors = scene.refused
    assert exit_code == 3
    assert "no agent came within 10 s" in errors
    assert not scene.refused_wrote
    assert "Traceback" not in errors


def test_metrics_show_every_live_session_by_stage_and_quantile(scene: Scene) -> None:
    live = [sample for sample in scene.during if sample.name == "moshi_session_latency_seconds"]
    sessions = {sample.labels["session"] for sample in live}
    assert len(sessions) == SLOTS
    assert {(each.labels["session"], each.labels["stage"], each.labels["quantile"]) for each in live} == {
        (session, stage, quantile)
        for session in sessions
        for stage in STAGES
        for quantile in ("0.5", "0.95", "0.99")
    }
    of = {
        (each.labels["session"], each.labels["stage"], each.labels["quantile"]): each.value for each in live
    }
    for session in sessions:
        # Reports of the last answers are still on their way.
        assert (
            0
            < of[session, "step", "0.5"]
            <= of[session, "answer", "0.5"]
            < 1.1 * of[session, "worker", "0.5"]
        )
        assert 0 < of[session, "jitter", "0.5"] < 1
        assert 0 <= of[session, "playout", "0.5"] <= 0.3
        assert of[session, "answer", "0.5"] <= of[session, "answer", "0.95"] <= of[session, "answer", "0.99"]


def test_metrics_count_the_seats(scene: Scene) -> None:
    assert value(scene.during, "moshi_seats") == SLOTS
    assert value(scene.during, "moshi_seats_used") == SLOTS


def test_afterwards_the_seats_are_free_and_the_sessions_gone(scene: Scene) -> None:
    now = scene.afterwards
    assert value(now, "moshi_seats_used") == 0
    assert not [sample for sample in now if sample.name == "moshi_session_latency_seconds"]
    assert {
        each.labels["reason"]: each.value for each in now if each.name == "moshi_sessions_ended_total"
    } == {"hang_up": SLOTS * scene.takes}
    assert value(now, "moshi_frames_total") > SLOTS * 100


def test_the_workers_log_names_nobody(scene: Scene) -> None:
    assert scene.log.count('"call began"') == SLOTS * scene.takes
    assert "caller-" not in scene.log
    assert "call-" not in scene.log
    assert "hear" not in scene.log


def test_a_seat_is_used_again(scene: Scene, livekit: LiveKitSettings, tmp_path: Path) -> None:
    sound_files.write(tmp_path / "in.wav", ONE_PHRASE, SPEAKING_RATE)
    again = worker_call(livekit, tmp_path, "in.wav", "out.wav", "--tail", "2")
    _, progress = again.communicate(timeout=60)
    assert again.returncode == 0, progress
    assert "I hear you." in progress
    assert "it follows your voice 1." in progress
    heard = sound_files.read(tmp_path / "out.wav", 24_000)
    assert len(heard) / 24_000 == pytest.approx(len(ONE_PHRASE) / SPEAKING_RATE + 2, abs=0.3)
    assert share(heard, 700) > 0.6
