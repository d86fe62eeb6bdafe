"""What is kept of a call, as somebody finds it afterwards."""

import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from engine.protocol import FRAME_BYTES
from tests.fake_engine import FakeEngine
from tests.worker.calls import Begin, tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.keeping.kept import Keeping
from worker.keeping.recording import MARK, Recording
from worker.keeping.transcript_file import TranscriptFile
from worker.keeping.writer import Writer
from worker.room.call import CallManner
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sides(path: Path) -> tuple[bytes, bytes]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24_000)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0].tobytes(), both[:, 1].tobytes()


@pytest.mark.parametrize("policy", [RoomPolicy.FIRST, RoomPolicy.EACH])
async def test_a_call_leaves_its_words_and_its_sound(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, tmp_path: Path, policy: RoomPolicy
) -> None:
    engine.words = {0: " Hello", 1: " 5551234."}
    keeping = Keeping(tmp_path / "texts", tmp_path / "sounds")
    for folder in keeping.folders:
        folder.mkdir()
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room, manner=CallManner(policy, keeping=keeping))
    room.speak(ada).say(tone(1), tone(2), tone(3))
    await until(lambda: len(sound_card.played) == 3)
    room.leave(ada)
    assert await running is Reason.CALLER_LEFT
    (line,) = lines(tmp_path / "texts" / "job1.transcript.jsonl")
    assert (line["who"], line["text"]) == ("model", "Hello [number].")
    recording = tmp_path / "sounds" / "job1.recording.wav"
    heard, said = sides(recording)
    assert heard == tone(1) + tone(2) + tone(3)
    assert said == bytes(FRAME_BYTES) + tone(1) + tone(2)
    for path in (recording, tmp_path / "texts" / "job1.transcript.jsonl"):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_kept_unless_it_is_asked_for(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, tmp_path: Path
) -> None:
    engine.words = {0: " Hello."}
    ada = FakePerson("ada")
    room = FakeRoom(ada)
    running = begin(room)
    room.speak(ada).say(tone(1))
    await until(lambda: sound_card.played)
    room.leave(ada)
    await running
    assert os.listdir(tmp_path) == []


def test_a_line_has_its_time_and_who_said_it(tmp_path: Path) -> None:
    times = iter((1.5, 2.0, 3.0))
    for text in (" now", " later"):
        kept = TranscriptFile(tmp_path, "AJ_1", redacted=False, clock=lambda: next(times))
        if text == " now":
            kept.write("right")
            kept.notice("This call ends in 60 seconds.")
        kept.write(text, ends=True)
        kept.close()
    assert lines(tmp_path / "AJ_1.transcript.jsonl") == [
        {"time_s": 2.0, "who": "worker", "text": "This call ends in 60 seconds."},
        {"time_s": 1.5, "who": "model", "text": "right now"},
        {"time_s": 3.0, "who": "model", "text": " later"},
    ]


def test_numbers_stay_where_they_are_not_to_be_left_out(tmp_path: Path) -> None:
    kept = TranscriptFile(tmp_path, "AJ_1", redacted=False)
    kept.write("5551234", ends=True)
    kept.close()
    assert lines(tmp_path / "AJ_1.transcript.jsonl")[0]["text"] == "5551234"


def test_a_recording_says_that_the_model_is_synthetic(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "AJ_1")
    recording.said(tone(1))
    recording.close()
    found = (tmp_path / "AJ_1.recording.wav").read_bytes()
    assert b"INFOICMT" in found
    assert MARK in found


def test_a_recording_can_be_played_while_it_grows_and_a_second_one_spares_the_first(tmp_path: Path) -> None:
    first, second = Recording(tmp_path, "AJ_1"), Recording(tmp_path, "AJ_1")
    for number, recording in enumerate((first, second)):
        recording.heard(tone(10 + number))
        recording.said(tone(number))
        recording._writer._thread.submit(lambda: None).result()
    assert sides(tmp_path / "AJ_1.recording.wav") == (tone(10), tone(0))
    assert sides(tmp_path / "AJ_1-2.recording.wav") == (tone(11), tone(1))
    first.close()
    second.close()


def test_what_was_heard_before_a_break_is_no_part_of_what_is_answered_after_it(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "AJ_1")
    recording.heard(tone(1))
    recording.break_off()
    recording.heard(tone(2))
    recording.said(tone(3))
    recording.close()
    assert sides(tmp_path / "AJ_1.recording.wav") == (tone(2), tone(3))


def test_a_disk_that_fails_is_logged_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(lambda: (tmp_path / "gone" / "file").open("wb"), "AJ_1")
    for _ in range(3):
        writer.do(lambda file: file.write(b"words"))
    writer.close()
    (record,) = caplog.records
    assert vars(record)["call"] == "AJ_1"


def test_a_disk_that_fills_up_ends_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    full = Path("/dev/full")
    writer = Writer(lambda: full.open("wb"), "AJ_1")
    for _ in range(3):
        writer.do(lambda file: file.write(b"words"))
    writer.close()
    writer.do(lambda file: file.write(b"too late"))
    assert len(caplog.records) == 1


def test_what_is_kept_is_said() -> None:
    assert Keeping().notice == ""
    assert "text" in Keeping(transcripts=Path("a")).notice
    assert "recorded" in Keeping(transcripts=Path("a"), recordings=Path("b")).notice
    assert Keeping(Path("a"), Path("a")).folders == (Path("a"),)
