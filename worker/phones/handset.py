"""What the model hears of a telephone."""

from worker.phones.leveller import Leveller


class Handset:
    """A telephone in a room: its voice levelled, and silence while it is muted."""

    def __init__(self) -> None:
        self.is_muted = False
        self._leveller = Leveller()

    def heard(self, pcm: bytes) -> bytes:
        """A frame of 80 ms as it came, PCM s16le mono 24 kHz."""
        return bytes(len(pcm)) if self.is_muted else self._leveller.levelled(pcm)
