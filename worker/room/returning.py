"""What a job that takes over a lost call is told, and nobody else: how its sessions are brought back.

The framework starts such a job without metadata of its own. What it hands to a job's process of a room is
ours alone: LiveKit sees nothing of it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from livekit.protocol.agent import Job
from livekit.protocol.models import Room

_KEY = "moshi.returning"


@dataclass(frozen=True, slots=True)
class Returning:
    """A call that goes on in another job. `resume`: by seat, the tokens of its sessions; `metadata`: of the
    dispatch that it began with; `caller`: the identity of whom it listened to, if that was one person alone.
    """

    call: str
    resume: Mapping[str, str]
    metadata: str = ""
    caller: str = ""

    def hidden_in(self, room: Room) -> Room:
        """The room as the job's process is told of it."""
        told = Room()
        told.CopyFrom(room)
        body = asdict(self) | {"resume": dict(self.resume)}
        told.metadata = json.dumps({_KEY: body})
        return told

    @classmethod
    def told_to(cls, job: Job) -> Self | None:
        """What this job was told; None for a call that begins."""
        # A dispatched job has the room's own metadata, which others write.
        if job.dispatch_id:
            return None
        try:
            body = json.loads(job.room.metadata)[_KEY]
        except (LookupError, TypeError, ValueError):
            return None
        return cls(**body)


def call_of(identity: str) -> str:
    """The call of an agent: by its first job, after which LiveKit names it in the room."""
    return identity.removeprefix("agent-")
