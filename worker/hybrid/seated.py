"""Moshi in a call of the ready-made worker: with the seat that was reserved for it."""

from engine.protocol import SessionRequest
from worker.plugin.model import MoshiDuplexModel
from worker.plugin.session import MoshiDuplexSession


class SeatedModel(MoshiDuplexModel):
    """The engine of the settings; its sessions ask for `wanted`, seat included."""

    def __init__(self, wanted: SessionRequest) -> None:
        super().__init__()
        self._wanted = wanted

    def session(self) -> MoshiDuplexSession:
        """The one of this call."""
        return MoshiDuplexSession(
            self, self._choice.open(), self._wanted, patience_s=self._patience_s, wall=self._wall
        )
