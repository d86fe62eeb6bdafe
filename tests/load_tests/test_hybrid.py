"""The stages of a turn, from what was asked of the models and what the caller heard."""

from pathlib import Path

import numpy as np
import pytest

from load_tests.hybrid.judged import judged_late_s
from load_tests.hybrid.model_server import ANSWER_HZ, Asked
from load_tests.hybrid.share import Share, inside_s
from load_tests.hybrid.stages import is_answer, table, turn
from worker.caller import sound_files

ROOT = Path(__file__).parents[2]
AT = np.arange(480) / 24_000


def test_each_stage_lies_between_what_one_model_did_and_what_the_next_was_asked() -> None:
    asked = [
        Asked("transcriptions", 10.1, 10.2, "half of it"),
        Asked("chat", 10.21, 10.22, "half of it"),
        Asked("transcriptions", 10.3, 10.31, "all of it"),
        Asked("chat", 10.33, 10.34, "all of it"),
        Asked("speech", 10.4, 10.41, "an answer"),
        Asked("speech", 10.6, 10.61, "its second sentence"),
    ]
    seconds = turn(10.0, asked, heard_at=10.5).seconds
    assert {name: round(each, 3) for name, each in seconds.items()} == {
        "transcript": 0.3,
        "llm": 0.02,
        "voice": 0.06,
        "heard": 0.09,
        "all": 0.5,
    }
    assert "| voice's first sound -> heard by the caller | 90 | 90 |" in table([turn(10.0, asked, 10.5)])


def test_a_turn_without_an_answer_is_no_turn() -> None:
    with pytest.raises(ValueError, match="nobody asked for speech"):
        turn(10.0, [Asked("transcriptions", 1, 1, ""), Asked("chat", 1, 1, "")], heard_at=10.5)


def test_the_answer_is_told_from_moshi_by_its_hum() -> None:
    hum = (6000 * np.sin(2 * np.pi * ANSWER_HZ * AT)).astype(np.int16)
    assert is_answer(hum)
    assert not is_answer(hum // 100)
    assert not is_answer((6000 * np.sin(2 * np.pi * 700 * AT)).astype(np.int16))


def test_what_is_left_is_neither_waiting_nor_the_network_nor_the_judgement_of_the_voice_detection() -> None:
    share = Share(
        all_s=[0.70, 0.72, 0.80],
        wait_s=0.5,
        judged_s=[0.0, 0.02, 0.1],
        way_s=[0.1, 0.11, 0.3],
        inside_s=[0.53, 0.54, 0.56],
    )
    assert [round(each, 3) for each in share.left_s] == [0.08, 0.1, 0.18]
    assert "| left: framework and ours (goal: 60 at most) | 100 | 172 |" in share.table()
    assert "| of it: after the wait, until the answer is on the agent's track | 40 | 58 |" in share.table()


def test_an_agent_that_logs_no_answers_leaves_its_own_row_out() -> None:
    share = Share([0.7], 0.5, [0.0], [0.1], inside_s=inside_s(["registered worker", "turn answered {}"]))
    assert "agent's track" not in share.table()


def test_an_agents_own_times_are_read_from_its_log() -> None:
    lines = ['02:00 INFO turn answered {"turn_ms": 512, "heard_ms": 548}', "another line", "turn answered"]
    assert inside_s(lines) == [0.548]


async def test_the_voice_detection_dates_the_end_of_speech_near_the_last_loud_sample() -> None:
    said = sound_files.read(ROOT / "deploy" / "sample.wav", 24_000)[: 3 * 24_000 // 2]
    ends_s = float(np.flatnonzero(np.abs(said) > 500)[-1]) / 24_000
    (late_s,) = await judged_late_s(said, ends_s, leads_ms=[0])
    assert -0.1 < late_s < 0.25


async def test_a_sound_without_speech_has_no_end_of_it() -> None:
    with pytest.raises(ValueError, match="hears no speech"):
        await judged_late_s(np.zeros(24_000, np.int16), 0.5, leads_ms=[0])
