"""The parts of LiveKit's API that open rooms, with workers that take a call or do not."""

from dataclasses import dataclass, field

from livekit import api


@dataclass
class FakeLiveKit:
    """`agents`: how many of the next rooms get one; `rooms`: those that are there, with their requests."""

    agents: int = 99
    broken: bool = False
    rooms: dict[str, api.CreateRoomRequest] = field(default_factory=dict)
    made: list[api.CreateRoomRequest] = field(default_factory=list)
    with_agent: set[str] = field(default_factory=set)
    _joined: set[str] = field(default_factory=set)

    @property
    def room(self) -> "FakeLiveKit":
        return self

    async def create_room(self, request: api.CreateRoomRequest) -> None:
        if self.broken:
            raise TimeoutError
        assert request.name not in self.rooms, "a room that is there is not made anew"
        self.rooms[request.name] = request
        self.made.append(request)
        if self.agents:
            self.agents -= 1
            self.with_agent.add(request.name)

    async def delete_room(self, request: api.DeleteRoomRequest) -> None:
        self.with_agent.discard(request.room)
        if self.rooms.pop(request.room, None) is None:
            raise api.TwirpError("not_found", "no such room", status=404)

    async def list_participants(self, request: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        """An agent is joining when it is first asked for, and there from then on."""
        if request.room not in self.with_agent:
            return api.ListParticipantsResponse()
        joined = request.room in self._joined
        self._joined.add(request.room)
        state = api.ParticipantInfo.State.ACTIVE if joined else api.ParticipantInfo.State.JOINING
        agent = api.ParticipantInfo(identity="agent", kind=api.ParticipantInfo.Kind.AGENT, state=state)
        return api.ListParticipantsResponse(participants=[agent])
