"""What callers say who never stop: sentences one after the other, hardly a pause between them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from load_tests.callers.speech import Voice, sentence, spoken
from worker.caller.microphone import PIECE_SAMPLES, SPEAKING_RATE

_SENTENCES = 24
_PAUSE_S = (0.05, 0.15)
_CHUNK = 50 * PIECE_SAMPLES


def endless(seed: int, number: int) -> Iterator[NDArray[np.int16]]:
    """Seconds of speech, int16 [SPEAKING_RATE] each: a voice and sentences of the caller's own, in an order
    that changes. Raises UserError without espeak-ng.
    """
    random = np.random.default_rng((seed, number))
    voice = Voice.any(random)
    sentences = [spoken(sentence(random), voice) for _ in range(_SENTENCES)]

    def chunks() -> Iterator[NDArray[np.int16]]:
        left = np.zeros(0, np.int16)
        while True:
            for chosen in random.permutation(_SENTENCES):
                pause = np.zeros(round(random.uniform(*_PAUSE_S) * SPEAKING_RATE), np.int16)
                left = np.concatenate([left, sentences[chosen], pause])
                while len(left) >= _CHUNK:
                    yield left[:_CHUNK]
                    left = left[_CHUNK:]

    return chunks()
