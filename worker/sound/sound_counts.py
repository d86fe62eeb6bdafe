"""What went wrong with the sound of a conversation, in numbers."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class SoundCounts:
    """Since the conversation began, or between two looks at it.

    `underruns`: answers that came after the one before them had been played. Of the caller's sound:
    `late_frames` came too late to be heard, `silent_frames` are the silence that was heard where none came,
    and `concealed_us` is what WebRTC's receiver made up for packets that were lost or late.
    """

    underruns: int = 0
    late_frames: int = 0
    silent_frames: int = 0
    concealed_us: int = 0

    def since(self, before: Self) -> Self:
        """What has been added."""
        names = [field.name for field in fields(self)]
        return type(self)(**{name: getattr(self, name) - getattr(before, name) for name in names})
