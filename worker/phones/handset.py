"""What the model hears of a telephone."""

from worker.phones.leveller import Leveller


class Handset:
    """A telephone in a room: its voice levelled, and silence while it is muted or put through."""

    def __init__(self) -> None:
        self.is_muted = False
        self.is_put_through = False
        self._leveller = Leveller()

    def heard(self, pcm: bytes) -> bytes:
        """A frame of 80 ms as it came, PCM s16le mono 24 kHz."""
        is_silent = self.is_muted or self.is_put_through
        return bytes(len(pcm)) if is_silent else self._leveller.levelled(pcm)
