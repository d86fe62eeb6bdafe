"""Runs the step of a model that reads aloud, and knows what each of its slots reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.checkpoint.tokenizer import Tokenizer
from engine.checkpoint.tts_voices import TtsVoice
from engine.errors import SessionError
from engine.models.config import ConditionsConfig, TtsConfig
from engine.step.eager_runner import to_host
from engine.step.frames import FRAME_S, Sampling
from engine.step.tts_machine import FIRST_PADS, TtsMachine
from engine.step.tts_script import TtsScript
from engine.step.tts_step import TtsStep

_GUIDANCE, _USUAL_GUIDANCE = "cfg", 2.0
_USUAL = "ok"
"""What the model is told of the quality of its sound (`control`)."""
_NO_SOUND = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word, and when it begins in the sound that its session gives, in seconds."""

    text: str
    start_s: float


@dataclass(frozen=True, slots=True)
class TtsFrame:
    """What a step gave one session: `pcm`, int16 [1920], or [0] of the first steps, which have no sound yet.

    words: those that begin; their sound comes some steps later. done: nothing comes after this.
    """

    pcm: NDArray[np.int16]
    words: tuple[SpokenWord, ...]
    done: bool


class TtsRunner:
    """Sessions that read, each in a slot; used from one thread alone."""

    def __init__(self, step: TtsStep, tts: TtsConfig, tokenizer: Tokenizer) -> None:
        assert step.config.conditions is not None, "the step has seen to that"
        self._step, self._tts, self._tokenizer = step, tts, tokenizer
        self._values = _values(step.config.conditions)
        self._readers: dict[int, _Reader] = {}

    @property
    def slots(self) -> int:
        """How many there are."""
        return self._step.slots

    @property
    def cfg_values(self) -> tuple[float, ...]:
        """What can be asked for as `cfg`, how closely the model keeps to voice and text."""
        return tuple(map(float, self._values.get(_GUIDANCE, ())))

    def check_cfg(self, cfg: float | None) -> None:
        """Raises SessionError for a value that the model was not trained with. Any thread may ask."""
        if cfg is not None and cfg not in self.cfg_values:
            taken = ", ".join(self._values.get(_GUIDANCE, ())) or "none"
            raise SessionError(f"'cfg' is {cfg!r:.40}; this model takes {taken}")

    def open(self, slot: int, voice: TtsVoice | None, sampling: Sampling, cfg: float | None = None) -> None:
        """Gives `slot` to a new session, whoever had it. Raises SessionError as `check_cfg` does."""
        self.check_cfg(cfg)
        values = {name: _USUAL if _USUAL in all_ else all_[0] for name, all_ in self._values.items()}
        if _GUIDANCE in values:
            values[_GUIDANCE] = self._guidance(cfg)
        self._step.join(slot, sampling, None if voice is None else voice.vectors, values)
        machine = TtsMachine(self._step.config.text_card + 1, self._tts.ahead)
        self._readers[slot] = _Reader(machine, TtsScript(self._tokenizer.tokens), self._step.late)

    def say(self, slot: int, text: str) -> None:
        """More text, in pieces of any size; words count once they are complete."""
        self._readers[slot].add(text)

    def end(self, slot: int) -> None:
        """No more text comes."""
        self._readers[slot].end()

    def ready(self, slot: int) -> bool:
        """Whether there is text enough for the next step."""
        return self._readers[slot].ready

    def step(self, slots: Sequence[int]) -> list[TtsFrame]:
        """The next step of each slot, all different and ready."""
        readers = [self._readers[slot] for slot in slots]
        assert all(reader.ready for reader in readers), "a step without the text that it needs"
        begun: list[tuple[SpokenWord, ...]] = []

        def choose(predicted: list[int]) -> list[int]:
            fed = []
            for reader, token in zip(readers, predicted, strict=True):
                choice, words = reader.choose(token)
                fed.append(choice)
                begun.append(words)
            return fed

        pcm = to_host(self._step(slots, choose).pcm)
        return [
            TtsFrame(samples if reader.sounds else _NO_SOUND, words, reader.done)
            for reader, samples, words in zip(readers, pcm, begun, strict=True)
        ]

    def fill_context(self, positions: int) -> None:
        """As `TtsStep.fill_context`, for slots that are open."""
        self._step.fill_context(positions)

    def _guidance(self, cfg: float | None) -> str:
        wanted = _USUAL_GUIDANCE if cfg is None else cfg
        choices = self._values[_GUIDANCE]
        return next((choice for choice in choices if float(choice) == wanted), choices[0])


class _Reader:
    """What one session reads, and how far it has come."""

    def __init__(self, machine: TtsMachine, script: TtsScript, late: int) -> None:
        self._machine, self._script = machine, script
        # In the sound of the steps before this one nobody has begun to speak yet, and there is a click.
        self._silent = late + FIRST_PADS
        self._over = False

    def add(self, text: str) -> None:
        assert not self._over, "the text was said to be over"
        for word in self._script.words(text):
            self._machine.add(word)

    def end(self) -> None:
        if not self._over:
            self._over = True
            for word in self._script.last_words():
                self._machine.add(word)
            self._machine.complete()

    @property
    def ready(self) -> bool:
        return not self.done and self._machine.ready

    @property
    def sounds(self) -> bool:
        """Whether the step that was made has sound to be heard."""
        return self._machine.steps > self._silent

    @property
    def done(self) -> bool:
        """Whether all sound has come: as many frames as there were steps until the text ended."""
        ended_at = self._machine.ended_at
        return ended_at is not None and self._machine.steps >= ended_at + self._silent

    def choose(self, predicted: int) -> tuple[int, tuple[SpokenWord, ...]]:
        at = self._machine.steps
        token, word = self._machine.step(predicted)
        return token, () if word is None else (SpokenWord(word.text, (at - FIRST_PADS) * FRAME_S),)


def _values(config: ConditionsConfig) -> dict[str, tuple[str, ...]]:
    return {value.name: value.values for value in config.values}
