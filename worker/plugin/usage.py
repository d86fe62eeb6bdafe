"""What a session uses, as the framework counts it."""

from collections.abc import Callable

from livekit.agents.metrics import RealtimeModelMetrics
from livekit.agents.metrics.base import Metadata

from engine.step.frames import FRAME_S


class Usage:
    """Counts between two reports. A token of sound is a frame of 80 ms, one of text a piece of a word.

    wall: the time of day in seconds, which the framework puts on its metrics.
    """

    def __init__(self, label: str, provider: str, wall: Callable[[], float]) -> None:
        self._label = label
        self._provider = provider
        self._wall = wall
        self._heard = self._said = self._words = 0

    def heard(self) -> None:
        """A frame went to the model."""
        self._heard += 1

    def said(self) -> None:
        """A frame that is speech came from it."""
        self._said += 1

    def word(self) -> None:
        """A piece of a word came from it."""
        self._words += 1

    def take(self, session: str, model: str) -> RealtimeModelMetrics:
        """All since the last time."""
        heard, said, words = self._heard, self._said, self._words
        self._heard = self._said = self._words = 0
        return RealtimeModelMetrics(
            label=self._label,
            request_id=session,
            timestamp=self._wall(),
            duration=said * FRAME_S,
            session_duration=heard * FRAME_S,
            input_tokens=heard,
            output_tokens=said + words,
            total_tokens=heard + said + words,
            input_token_details=RealtimeModelMetrics.InputTokenDetails(audio_tokens=heard),
            output_token_details=RealtimeModelMetrics.OutputTokenDetails(
                audio_tokens=said, text_tokens=words
            ),
            metadata=Metadata(model_name=model, model_provider=self._provider),
        )
