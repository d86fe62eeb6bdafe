"""Callers on the phone: what livekit-sip makes of one in a room, and what a phone line makes of their voice.

The bridge itself and its signalling are not here: this is what the other participants of its rooms see and
hear.
"""

from typing import Literal

import av
import numpy as np
from livekit import api
from numpy.typing import NDArray

from worker.settings import LiveKitSettings
from worker.tokens import caller_token

Law = Literal["mulaw", "alaw"]

RATE = 8_000
PACKET_S = 0.02
_PACKET = round(RATE * PACKET_S)
_TRUNK = "+15550100"


def token(settings: LiveKitSettings, room: str, number: int, status: str = "active") -> str:
    """A token for the caller with this number, who is a participant as livekit-sip's are.

    They may say themselves what becomes of their call, as livekit-sip does.
    """
    phone = f"+1555{number:07d}"
    attributes = {
        "sip.callStatus": status,
        "sip.phoneNumber": phone,
        "sip.trunkPhoneNumber": _TRUNK,
        "sip.callID": f"SCL_load{number}",
        "sip.trunkID": "ST_load",
        "sip.ruleID": "SDR_load",
    }
    made = caller_token(settings, room, f"sip_{phone}").with_kind("sip").with_attributes(attributes)
    assert made.claims.video is not None
    made.claims.video.can_update_own_metadata = True
    if settings.livekit_agent_name:
        dispatch = api.RoomAgentDispatch(agent_name=settings.livekit_agent_name)
        made = made.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return made.to_jwt()


class Line:
    """A phone line: G.711 in packets of 20 ms, some of which are lost and are silence then."""

    def __init__(self, law: Law = "mulaw", loss_percent: float = 0.0, seed: int = 0) -> None:
        self._codec = f"pcm_{law}"
        self._loss = loss_percent / 100
        self._random = np.random.default_rng(seed)

    def carried(self, pcm: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
        """What of `pcm`, int16 [N] at `rate`, arrives at the other end: int16 [N], at the same time."""
        narrow = _resampled(pcm, rate, RATE) if len(pcm) else pcm
        if not len(narrow):
            return np.zeros_like(pcm)
        packets = -(-len(narrow) // _PACKET)
        padded = np.pad(narrow, (0, packets * _PACKET - len(narrow)))
        arrived = self._coded(padded)
        lost = self._random.random(packets) < self._loss
        arrived.reshape(packets, _PACKET)[lost] = 0
        wide = _resampled(arrived[: len(narrow)], RATE, rate)[: len(pcm)]
        return np.pad(wide, (0, len(pcm) - len(wide)))

    def _coded(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Through the codec and back, int16 [N] at RATE."""
        encoder, decoder = (_context(self._codec, mode) for mode in ("w", "r"))
        packets = [*encoder.encode(_frame(pcm, RATE)), *encoder.encode(None)]
        frames = [frame for packet in packets for frame in decoder.decode(packet)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _context(codec: str, mode: Literal["r", "w"]) -> av.AudioCodecContext:
    context = av.CodecContext.create(codec, mode)
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    return context


def _resampled(pcm: NDArray[np.int16], rate: int, wanted: int) -> NDArray[np.int16]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=wanted)
    frames = [*resampler.resample(_frame(pcm, rate)), *resampler.resample(None)]
    return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0] for frame in frames)])


def _frame(pcm: NDArray[np.int16], rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None], format="s16", layout="mono")
    frame.sample_rate = rate
    return frame
