import numpy as np
import pytest

from engine import Moshi
from engine.errors import CheckpointError, Refused, SessionError, SettingError
from engine.library.moshi import Answer, Session

NOISE = np.random.default_rng(0).integers(-3000, 3000, (12, 1920)).astype(np.int16)


@pytest.fixture(scope="module")
def moshi() -> Moshi:
    return Moshi.load("random:tiny", device="cpu", slots=3)


def alone(moshi: Moshi, frames: np.ndarray, **sampling: float) -> list[Answer]:
    with moshi.session(**sampling) as session:  # type: ignore[arg-type]  # a seed is whole
        return [session.step(frame) for frame in frames]


def tokens(answers: list[Answer]) -> np.ndarray:
    return np.stack([[answer.text_token, *answer.codes, *answer.user_codes] for answer in answers])


def test_every_frame_is_answered_with_sound_words_and_tokens(moshi: Moshi) -> None:
    answers = alone(moshi, NOISE, seed=1)
    assert all(answer.pcm.shape == (1920,) and answer.pcm.dtype == np.int16 for answer in answers)
    assert all(answer.codes.dtype == answer.user_codes.dtype == np.int64 for answer in answers)
    assert all(answer.text.strip() in ("", str(answer.text_token)) for answer in answers)
    assert any(answer.text for answer in answers)


def test_a_seed_makes_the_answer_and_the_next_session_starts_afresh(moshi: Moshi) -> None:
    first = tokens(alone(moshi, NOISE, seed=1))
    assert np.array_equal(first, tokens(alone(moshi, NOISE, seed=1)))
    assert not np.array_equal(first, tokens(alone(moshi, NOISE, seed=2)))
    greedy = tokens(alone(moshi, NOISE, seed=1, temperature=0.0, temperature_text=0.0))
    other_seed = tokens(alone(moshi, NOISE, seed=2, temperature=0.0, temperature_text=0.0))
    assert np.array_equal(greedy, other_seed)


def test_in_a_batch_everybody_gets_what_they_would_get_alone(moshi: Moshi) -> None:
    sounds = {seed: np.roll(NOISE, seed, axis=0) for seed in range(3)}
    together: dict[int, list[Answer]] = {seed: [] for seed in sounds}
    with moshi.session(seed=0) as a, moshi.session(seed=1) as b, moshi.session(seed=2) as c:
        sessions: dict[int, Session] = {0: a, 1: b, 2: c}
        for number in range(len(NOISE)):
            # The last joins late, and is out of step with the others.
            due = [seed for seed in sounds if seed < 2 or number >= 4]
            frame = {sessions[s]: sounds[s][number - 4 if s == 2 else number] for s in due}
            answers = moshi.step(frame)
            for seed in due:
                together[seed].append(answers[sessions[seed]])
    for seed, sound in sounds.items():
        expected = tokens(alone(moshi, sound, seed=seed))[: len(together[seed])]
        assert np.array_equal(tokens(together[seed]), expected)


def test_with_every_slot_in_a_session_another_is_refused_until_one_closes(moshi: Moshi) -> None:
    sessions = [moshi.session() for _ in range(3)]
    with pytest.raises(Refused, match="all 3 slots are in sessions: close one"):
        moshi.session()
    sessions[0].close()
    sessions[0].close()
    sessions.append(moshi.session())
    with pytest.raises(Refused):
        moshi.session()
    for session in sessions:
        session.close()


def test_a_closed_session_has_no_answers(moshi: Moshi) -> None:
    session = moshi.session()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.step(NOISE[0])


def test_nobody_to_answer_is_no_step(moshi: Moshi) -> None:
    assert moshi.step({}) == {}


def test_a_frame_has_1920_samples(moshi: Moshi) -> None:
    with moshi.session() as session, pytest.raises(ValueError, match="a frame is 1920 samples"):
        session.step(NOISE[0, :500])


def test_a_parameter_out_of_range_takes_no_slot(moshi: Moshi) -> None:
    for _ in range(4):
        with pytest.raises(SessionError, match=r"temperature='-1\.0' is not a number from 0 to 10"):
            moshi.session(temperature=-1.0)
    moshi.session().close()


def test_what_cannot_be_loaded_says_why() -> None:
    with pytest.raises(CheckpointError, match="random:moshi-7b or random:tiny"):
        Moshi.load("random:huge", device="cpu")
    with pytest.raises(SettingError, match="not enough memory for random:tiny"):
        Moshi.load("random:tiny", device="cpu", slots=1_000_000_000)
