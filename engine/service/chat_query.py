"""The query of `/api/chat`, by the names of Moshi's web client and of PersonaPlex.

Unlike in `/v1/session`, values out of range are clamped and unknown names passed over: these clients send
more than any server takes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import SessionError
from engine.protocol import RANGES, SessionRequest, check_prompt

CHAT_PATH = "/api/chat"
PLAIN_FORMAT = "pcm_f32le"

_SAMPLING = {
    "audio_temperature": "temperature",
    "audio_topk": "top_k",
    "text_temperature": "temperature_text",
    "text_topk": "top_k_text",
}
_SEEDS = ("audio_seed", "text_seed", "seed")
_SEED_BITS = 32


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a caller asks for: a session, float32 instead of Ogg-Opus, to be told how it is sampled."""

    session: SessionRequest
    plain: bool
    wants_metadata: bool

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "ChatRequest":
        """Parse a query string. Raises SessionError for what is no number, or a format that is none."""
        given = {name: value for name, value in query.items() if value}
        if given.get("format", PLAIN_FORMAT) != PLAIN_FORMAT:
            raise SessionError(
                f"format={given['format']!r}: leave it out for Ogg-Opus, or ask for {PLAIN_FORMAT}"
            )
        asked = {ours: _clamped(name, ours, given[name]) for name, ours in _SAMPLING.items() if name in given}
        voice = given.get("voice_prompt")
        check_prompt("text_prompt", given.get("text_prompt", ""))
        session = SessionRequest(
            **asked,  # type: ignore[arg-type]  # top-k are whole numbers, see _clamped
            seed=_seed(given),
            # PersonaPlex's client names the file that its server would load.
            voice=voice and voice.removesuffix(".pt"),
            prompt=given.get("text_prompt"),
        )
        return cls(session, "format" in given, wants_metadata=bool(asked))


def _clamped(name: str, ours: str, text: str) -> float | int:
    kind, least, most = RANGES[ours]
    return kind(min(max(_number(name, text), least), most))


def _seed(given: Mapping[str, str]) -> int | None:
    """One seed from all that are given; -1 stands for any, as in PersonaPlex."""
    seeds = [int(_number(name, given[name])) for name in _SEEDS if name in given]
    seeds = [seed for seed in seeds if seed >= 0]
    if not seeds:
        return None
    mixed = 0
    for seed in seeds:
        mixed = (31 * mixed + seed) % (1 << _SEED_BITS)
    return mixed


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SessionError(f"{name}={text!r} is not a number")
    return value
