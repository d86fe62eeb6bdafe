"""What is kept of one call while it lasts."""

from dataclasses import dataclass
from pathlib import Path

from worker.keeping.recording import Recording
from worker.keeping.transcript_file import TranscriptFile


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is to be kept of every call, and where. The names of folders; None: not at all. of_callers: what
    they say is known as text, too.
    """

    transcripts: Path | None = None
    recordings: Path | None = None
    redacted: bool = True
    of_callers: bool = False

    def of(self, call_id: str) -> "Kept":
        """Of this call. Nothing is written before there is something to keep."""
        return Kept(
            TranscriptFile(self.transcripts, call_id, redacted=self.redacted) if self.transcripts else None,
            Recording(self.recordings, call_id) if self.recordings else None,
        )

    @property
    def notice(self) -> str:
        """The sentence that callers are told of it, empty if nothing is kept."""
        if self.recordings:
            return "This call is recorded."
        if not self.transcripts:
            return ""
        return "What is said is kept as text." if self.of_callers else "What it says is kept as text."

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where files of calls are."""
        return tuple({folder: None for folder in (self.transcripts, self.recordings) if folder})


NOTHING = Keeping()


class Kept:
    """Tell it what happens in a call."""

    def __init__(self, transcript: TranscriptFile | None = None, recording: Recording | None = None) -> None:
        self.transcript = transcript
        self.recording = recording

    def close(self) -> None:
        """Write what is left. It waits for the disk."""
        for file in (self.transcript, self.recording):
            if file is not None:
                file.close()
