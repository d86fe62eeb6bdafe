from worker.conversation.waits import Waits
from worker.sound.audio_out import Played
from worker.sound.sound_counts import SoundCounts

NOTHING = SoundCounts()


def played(frame: int, handed_at: float) -> Played:
    return Played(frame, handed_at, queued_s=0.02, level_db=-30.0)


def test_an_answer_is_reported_with_how_long_it_took_and_where() -> None:
    waits = Waits()
    waits.begin(7, arrived_at=10.0)
    report = waits.end(played(7, 10.05), 0.03, NOTHING)
    assert report is not None
    assert (report.frame, report.worker_us, report.playout_us, report.jitter_us) == (
        7,
        50_000,
        20_000,
        30_000,
    )
    assert waits.summary()["frames"] == 1


def test_what_was_announced_is_no_answer_and_no_answer_comes_to_what_was_forgotten() -> None:
    waits = Waits()
    waits.begin(7, arrived_at=10.0)
    assert waits.end(played(-1, 10.05), None, NOTHING) is None
    waits.forget()
    assert waits.end(played(7, 10.05), None, NOTHING) is None
    assert waits.summary()["frames"] == 0


def test_what_went_wrong_is_reported_once() -> None:
    waits = Waits()
    for frame in (0, 1):
        waits.begin(frame, 0.0)
    first = waits.end(played(0, 0.1), None, SoundCounts(underruns=3))
    second = waits.end(played(1, 0.2), None, SoundCounts(underruns=4, late_frames=1))
    assert first is not None
    assert second is not None
    assert (first.underruns, first.late_frames) == (3, 0)
    assert (second.underruns, second.late_frames) == (1, 1)


def test_answers_that_are_never_played_are_not_waited_for_for_ever() -> None:
    waits = Waits()
    for frame in range(1000):
        waits.begin(frame, 0.0)
    assert waits.end(played(0, 1.0), None, NOTHING) is None
    assert waits.end(played(999, 1.0), None, NOTHING) is not None
