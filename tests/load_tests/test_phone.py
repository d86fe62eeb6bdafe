"""A phone line takes what a phone line takes, and gives a caller who looks like livekit-sip's."""

import jwt
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from load_tests.phone import Law, Line, token
from worker.settings import LiveKitSettings

SECRET = "a secret that is long enough for HMAC"
SECONDS = 2.0


def tone(frequency_hz: float, rate: int) -> NDArray[np.int16]:
    times = np.arange(round(SECONDS * rate)) / rate
    return np.asarray(8000 * np.sin(2 * np.pi * frequency_hz * times), np.int16)


def noise_db(said: NDArray[np.int16], heard: NDArray[np.int16]) -> float:
    """How far what was not said lies below what was, without the ends."""
    whole, kept = (pcm.astype(np.float64)[1000:-1000] for pcm in (said, heard))
    return float(10 * np.log10(np.square(whole).sum() / np.square(kept - whole).sum()))


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_a_voice_arrives_at_the_same_time_and_with_the_noise_of_g711(law: Law, rate: int) -> None:
    said = tone(1000, rate)
    heard = Line(law).carried(said, rate)
    assert heard.dtype == np.int16
    assert len(heard) == len(said)
    # 38 dB is what the standard's eight bits give (ITU-T G.711); a shift of one sample would leave 18.
    assert 30 < noise_db(said, heard) < 45


def test_the_two_laws_are_not_the_same() -> None:
    said = tone(1000, 24_000)
    assert not np.array_equal(Line("mulaw").carried(said, 24_000), Line("alaw").carried(said, 24_000))


def test_nothing_above_four_kilohertz_passes() -> None:
    heard = Line().carried(tone(6000, 48_000), 48_000)
    assert np.abs(heard[1000:-1000]).max() < 100


@pytest.mark.parametrize("length", [0, 1, 959, 961, 30_001])
def test_any_length_stays_as_it_is(length: int) -> None:
    assert len(Line().carried(tone(500, 48_000)[:length], 48_000)) == length


def test_lost_packets_of_20_ms_are_silent() -> None:
    said = tone(1000, 24_000)
    heard = Line(loss_percent=20, seed=3).carried(said, 24_000)
    packets = np.abs(heard[: len(heard) // 480 * 480].reshape(-1, 480)[:, 100:-100]).max(axis=1)
    assert np.mean(packets < 500) == pytest.approx(0.2, abs=0.1)
    assert np.array_equal(heard, Line(loss_percent=20, seed=3).carried(said, 24_000))


@pytest.mark.parametrize("agent", ["", "moshi"])
def test_the_caller_is_one_of_livekit_sip(agent: str) -> None:
    settings = LiveKitSettings(
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="testkey",
        livekit_api_secret=SecretStr(SECRET),
        livekit_agent_name=agent,
    )
    claims = jwt.decode(token(settings, "a room", 7), SECRET, algorithms=["HS256"])
    assert claims["kind"] == "sip"
    assert claims["sub"] == "sip_+15550000007"
    assert claims["attributes"]["sip.phoneNumber"] == "+15550000007"
    assert claims["attributes"]["sip.callStatus"] == "active"
    assert claims["video"]["room"] == "a room"
    dispatched = claims.get("roomConfig", {}).get("agents", [])
    assert [each["agentName"] for each in dispatched] == ([agent] if agent else [])
