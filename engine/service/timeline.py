"""Where in a speaker's sound the model is, which has heard silences besides that nobody sent."""

from collections import deque


class Timeline:
    """From seconds that the model has heard to seconds of the speaker's sound."""

    def __init__(self) -> None:
        self._past_s = 0.0
        self._silences: deque[tuple[float, float]] = deque()

    def insert(self, at_s: float, length_s: float) -> None:
        """A silence that the model hears from `at_s` on; later than those before it."""
        self._silences.append((at_s, length_s))

    def sound_s(self, model_s: float) -> float:
        """Seconds of the speaker's sound before `model_s`, at least 0."""
        silent_s = self._past_s
        for at_s, length_s in self._silences:
            silent_s += min(max(model_s - at_s, 0.0), length_s)
        return max(0.0, model_s - silent_s)

    def forget(self, model_s: float) -> None:
        """Nobody will ask for a time before this one."""
        while self._silences and sum(self._silences[0]) <= model_s:
            self._past_s += self._silences.popleft()[1]
