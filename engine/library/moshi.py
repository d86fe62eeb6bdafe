"""A whole model: a conversation 80 ms at a time, or several of them in one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.checkpoint import Model, load
from engine.device import choose_device, choose_dtype
from engine.errors import Refused, SessionError
from engine.library.samples import Samples, as_frame
from engine.memory import Room, enough_memory
from engine.models.config import KvPrecision, WeightPrecision
from engine.protocol import SessionRequest
from engine.settings import Device, Dtype
from engine.step.build import make_runner
from engine.step.capacity import Variant
from engine.step.frames import SlotRef
from engine.step.loop import Runner
from engine.step.slots import SlotPool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says to one frame: `pcm` int16 [1920], and the piece of `text` said with it, often "".

    `text_token` and `codes` int64 [K] are its own tokens, `user_codes` int64 [K] those of what it heard.
    """

    pcm: NDArray[np.int16]
    text: str
    text_token: int
    codes: NDArray[np.int64]
    user_codes: NDArray[np.int64]


class Moshi:
    """A model in memory with a number of slots, each for one session at a time."""

    def __init__(self, model: Model, runner: Runner, slots: int) -> None:
        self.name = model.name
        self.sampling = model.sampling
        self._model = model
        self._runner = runner
        self._slots = slots
        self._pool = SlotPool(slots)
        self._sessions: dict[Session, SlotRef] = {}

    @classmethod
    def load(
        cls,
        checkpoint: str = "parrot",
        device: Device = "auto",
        *,
        slots: int = 1,
        dtype: Dtype | None = None,
        weights: WeightPrecision = "exact",
        kv: KvPrecision = "exact",
        lora: str | None = None,
    ) -> Self:
        """A checkpoint on a device, with memory for `slots` sessions; the names are those of `serve`.

        On CUDA its graphs are captured here. Raises CheckpointError, and SettingError for what does not fit.
        """
        chosen = choose_device(device)
        variant = Variant(checkpoint, choose_dtype(dtype, chosen), weights, kv)
        room = Room.on(chosen)
        room.check(variant, slots)
        with enough_memory(lambda: room.too_little_for(variant, slots)):
            model = load(checkpoint, chosen, variant.dtype, weights, lora)
            return cls(model, make_runner(model, slots, kv), slots)

    def session(
        self,
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        temperature_text: float | None = None,
        top_k_text: int | None = None,
        seed: int = 0,
    ) -> "Session":
        """A new conversation, until it is closed. What is None is as the checkpoint asks (`sampling`).

        Raises SessionError for a value out of range, Refused when every slot is in a session.
        """
        asked = SessionRequest(temperature, top_k, temperature_text, top_k_text, seed)
        sampling = SessionRequest.from_query(asked.to_query()).sampling(self.sampling)
        if len(self._sessions) == self._slots:
            raise Refused(
                f"all {self._slots} slots are in sessions: close one, or load the model with more slots"
            )
        slot = self._pool.take()
        self._runner.join({slot.index: sampling})
        session = Session(self)
        self._sessions[session] = slot
        return session

    def step(self, frames: "Mapping[Session, Samples]") -> "dict[Session, Answer]":
        """The answers to one frame [1920] of each session, in one step of the device.

        A session's answers do not depend on who else is in the step; on a GPU only up to the rounding of
        larger products. Raises ValueError, and SessionError for a session that is closed.
        """
        if not frames:
            return {}
        if not self._sessions.keys() >= frames.keys():
            raise SessionError("a session that is closed, or of another model, has no answers: open one here")
        pcm = np.stack([as_frame(sound) for sound in frames.values()])
        out = self._runner.step([self._sessions[session].index for session in frames], pcm)
        return {
            session: Answer(
                out.pcm[row],
                self._model.tokenizer.piece(int(out.text[row])),
                int(out.text[row]),
                out.codes[row],
                out.user_codes[row],
            )
            for row, session in enumerate(frames)
        }

    def close(self, session: "Session") -> None:
        """Free the session's slot; one that is closed already is no error."""
        slot = self._sessions.pop(session, None)
        if slot is not None:
            self._pool.free(slot)


class Session:
    """One conversation with a `Moshi`, which makes it. A `with` block closes it."""

    def __init__(self, moshi: Moshi) -> None:
        self._moshi = moshi

    def step(self, frame: Samples) -> Answer:
        """The answer to the next frame [1920]. Raises as `Moshi.step`."""
        return self._moshi.step({self: frame})[self]

    def close(self) -> None:
        """Free the slot."""
        self._moshi.close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
