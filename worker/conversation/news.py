"""What becomes of a conversation's session and of its voice, told to its caller and to the log."""

import logging
from collections.abc import Callable

from engine.errors import EngineError, Refused, SessionError, UserError
from worker.conversation.engine_link import Followed, Interrupted, Opened, Resumed, StartedAnew, facts
from worker.conversation.interruption import Interruption
from worker.conversation.mouth import Mouth
from worker.conversation.sentences import BACK, CANNOT, HEARD, NEW, OVER, UNHEARD
from worker.room.reasons import Reason
from worker.signs.troubles import Trouble, Troubles
from worker.sound.clips import ANEW, GOODBYE, ONE_MOMENT
from worker.watching.diary import Diary, Event

log = logging.getLogger(__name__)


class News:
    """`take` what the link tells; `over` when there will be no session any more.

    notice: puts a line into the transcript.
    """

    def __init__(
        self,
        call_id: str,
        troubles: Troubles,
        mouth: Mouth,
        notice: Callable[[str], None],
        diary: Diary,
    ) -> None:
        self._id = call_id
        self._diary = diary
        self._troubles = troubles
        self._mouth = mouth
        self._notice = notice
        self._interruption = Interruption(self._interrupted)
        self._had_one = False

    def take(self, event: Opened | Resumed | Followed | StartedAnew | Interrupted) -> None:
        """Say what there is to be said of it. An interruption is told once it lasts."""
        match event:
            case Interrupted(error):
                # It is told again when the error is another one: that is no other loss.
                if self._had_one and not self._interruption.is_on:
                    self._diary.note(Event.ENGINE_LOST, reason=error.code)
                self._interruption.begin(error)
                return
            case Followed(ready, to):
                log.info("call goes on elsewhere", extra=self._about(ready.session) | {"engine": to})
                self._diary.note(Event.MOVED, session=ready.session, engine=to)
                self._end_interruption(BACK)
            case Opened(ready):
                log.info("call began", extra=self._about(ready.session))
                self._diary.note(Event.SESSION_BEGAN, session=ready.session)
                self._end_interruption()
            case Resumed(ready):
                log.info("call goes on", extra=self._about(ready.session))
                self._diary.note(Event.RESUMED, session=ready.session)
                self._end_interruption(BACK)
            case StartedAnew(ready):
                log.warning("call began anew", extra=self._about(ready.session))
                self._diary.note(Event.BEGAN_ANEW, session=ready.session)
                self._end_interruption()
                self._notice(NEW)
                self._mouth.announce(ANEW)
        self._had_one = True

    async def over(self, lost: EngineError) -> Reason:
        """Say that the call ends, because there is no session and will be none; the reason."""
        log.error("no session", extra={"call": self._id, **facts(lost)})
        self.close()
        self._notice(CANNOT.format(lost) if isinstance(lost, SessionError) else OVER)
        self._mouth.announce(GOODBYE)
        await self._mouth.announced()
        return Reason.REFUSED if isinstance(lost, Refused | UserError) else Reason.ENGINE_LOST

    def voice(self, is_heard: bool) -> None:
        """Whether the agent can be heard in the room."""
        if is_heard:
            self._troubles.end(Trouble.VOICE, HEARD)
        else:
            self._troubles.begin(Trouble.VOICE, UNHEARD)

    def close(self) -> None:
        """There is nobody to tell any more."""
        self._interruption.end()

    def _about(self, session: str) -> dict[str, str]:
        return {"call": self._id, "session": session}

    def _end_interruption(self, sentence: str = "") -> None:
        self._interruption.end()
        self._troubles.end(Trouble.ENGINE, sentence)

    def _interrupted(self, sentence: str, begins: bool) -> None:
        self._troubles.begin(Trouble.ENGINE, sentence)
        if begins:
            self._mouth.announce(ONE_MOMENT)
