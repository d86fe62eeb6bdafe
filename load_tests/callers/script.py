"""What one caller says when: the same in every process, from the run's seed and the caller's number alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load_tests.callers.speech import Voice, sentence, spoken
from worker.caller.microphone import SPEAKING_RATE

REPERTOIRE = 12
TAIL_S = 0.5
_FIRST_S = (0.3, 2.3)
_SHORT_PAUSE_S = (0.4, 1.8)
_LONG_PAUSE_S = (2.5, 5.0)
_LONG_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Utterance:
    """`sound`: int16 [N] at SPEAKING_RATE, begun `at_s` seconds after all callers begin."""

    at_s: float
    sound: NDArray[np.int16]
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """Utterances one after the other, all over before `seconds`."""

    seconds: float
    utterances: tuple[Utterance, ...]

    @classmethod
    def of(cls, seed: int, number: int, seconds: float) -> "Script":
        """One voice; sentences of its own, said again and again; pauses of which most are short.

        After a short pause a caller speaks while the answer to what was said before is still to be heard.
        Raises UserError without espeak-ng.
        """
        random = np.random.default_rng((seed, number))
        voice = Voice.any(random)
        texts: list[str] = []
        utterances: list[Utterance] = []
        at_s = random.uniform(*_FIRST_S)
        while True:
            if len(texts) < REPERTOIRE:
                texts.append(sentence(random))
            text = texts[len(utterances) % REPERTOIRE]
            sound = spoken(text, voice)
            # A whole number of samples: where it is in the recording is where it was said.
            at_s = round(at_s * SPEAKING_RATE) / SPEAKING_RATE
            end_s = at_s + len(sound) / SPEAKING_RATE
            if end_s > seconds - TAIL_S:
                return cls(seconds, tuple(utterances))
            utterances.append(Utterance(at_s, sound, text))
            pause_s = _LONG_PAUSE_S if random.random() < _LONG_SHARE else _SHORT_PAUSE_S
            at_s = end_s + random.uniform(*pause_s)

    @property
    def pcm(self) -> NDArray[np.int16]:
        """The whole, int16 [seconds * SPEAKING_RATE]."""
        whole = np.zeros(round(self.seconds * SPEAKING_RATE), np.int16)
        for each in self.utterances:
            begin = round(each.at_s * SPEAKING_RATE)
            whole[begin : begin + len(each.sound)] = each.sound
        return whole
