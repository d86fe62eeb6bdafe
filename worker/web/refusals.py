"""Why somebody is not let into a call, with what they can do about it."""

from engine.errors import Refused


class AllSeatsTaken(Refused):
    """Every seat of the engine is in a call."""

    code = "full"

    def __str__(self) -> str:
        return f"all seats are taken: try again in {self.retry_after_s} seconds"


class NobodyAnswers(Refused):
    """The room is there, but no agent came into it."""

    code = "no_agent"
    retry_after_s = 5

    def __str__(self) -> str:
        return (
            "no agent took the call: is a worker running for this LiveKit server, and does "
            "LIVEKIT_AGENT_NAME say the same on both sides?"
        )


class NoServer(Refused):
    """The LiveKit server does not answer."""

    code = "no_server"
    retry_after_s = 5

    def __str__(self) -> str:
        return "the LiveKit server does not answer: try again, and if that does not help, is it running?"


class NoEngine(Refused):
    """The engine does not answer."""

    code = "no_engine"
    retry_after_s = 5

    def __str__(self) -> str:
        return "the engine does not answer: it may be starting, try again in a moment"


class TooManyCalls(Refused):
    """Somebody asks for calls faster than people make them."""

    code = "too_many_calls"
    http_status = 429
    retry_after_s = 5

    def __str__(self) -> str:
        return f"too many calls were asked for: try again in {self.retry_after_s} seconds"
