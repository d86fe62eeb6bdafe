"""The grace period of lost sessions: who may bring one back, and until when."""

import asyncio
import secrets
from collections.abc import Callable


class Grace:
    """Resume tokens, and clocks that run while a session has no connection. Used from the event loop alone.

    seconds: how long a lost session is held; 0: no session is. `expired`, set by whoever ends sessions, is
    called with the id of one whose time is over.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired: Callable[[str], None] = lambda _session: None
        self._sessions: dict[str, str] = {}
        self._tokens: dict[str, list[str]] = {}
        self._clocks: dict[str, asyncio.TimerHandle] = {}

    def token(self, session: str, used: str | None = None) -> str:
        """A new token. Of those before it only the one that was `used` is good, until `confirm`: who gets no
        answer to a resume can ask again. Empty where no session is held.
        """
        if not self.seconds:
            return ""
        token = secrets.token_urlsafe(24)
        self._keep(session, [*([used] if used else []), token])
        return token

    def confirm(self, session: str) -> None:
        """Whoever was given the last token has it: no other is good."""
        self._keep(session, self._tokens.get(session, [])[-1:])

    def find(self, token: str) -> str | None:
        """The session that a token brings back."""
        return self._sessions.get(token)

    def tokens(self, session: str) -> list[str]:
        """Those that bring it back now."""
        return list(self._tokens.get(session, []))

    def begin(self, session: str) -> None:
        """The session has no connection: its time runs, from now."""
        self.end(session)
        loop = asyncio.get_running_loop()
        self._clocks[session] = loop.call_later(self.seconds, lambda: self.expired(session))

    def end(self, session: str) -> None:
        """It has one again."""
        if clock := self._clocks.pop(session, None):
            clock.cancel()

    def left_s(self, session: str) -> float:
        """How many seconds it is still held."""
        return max(0.0, self._clocks[session].when() - asyncio.get_running_loop().time())

    def forget(self, session: str) -> None:
        """It is over."""
        self.end(session)
        self._keep(session, [])

    def _keep(self, session: str, tokens: list[str]) -> None:
        for token in self._tokens.pop(session, []):
            del self._sessions[token]
        if tokens:
            self._tokens[session] = tokens
            self._sessions.update(dict.fromkeys(tokens, session))
