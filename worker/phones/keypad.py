"""Keys that are pressed in a call, and what is done about them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from livekit import rtc

from worker.phones.handset import Handset
from worker.phones.keys import KeyAction
from worker.phones.switchboard import NoSwitchboard, Switchboard


@dataclass(frozen=True, slots=True)
class Keys:
    """What they do, and by whom."""

    actions: Mapping[str, KeyAction] = field(default_factory=dict)
    switchboard: Switchboard = field(default_factory=NoSwitchboard)


NO_KEYS = Keys()


class Keypad:
    """Those of all telephones in a room; `run` it. handset: of a participant, None of who is no telephone.

    While a telephone is put through the model does not hear it.
    """

    def __init__(self, room: rtc.Room, keys: Keys, handset: Callable[[str], Handset | None]) -> None:
        self._keys = keys
        self._handset = handset
        self._pressed: asyncio.Queue[tuple[KeyAction, str]] = asyncio.Queue()
        room.on("sip_dtmf_received", self._on_key)

    def _on_key(self, key: rtc.SipDTMF) -> None:
        action = self._keys.actions.get(key.digit)
        handset = self._handset(key.participant.identity) if key.participant else None
        if action is None or handset is None:
            return
        assert key.participant is not None
        if action is KeyAction.MUTE:
            handset.is_muted = not handset.is_muted
        else:
            self._pressed.put_nowait((action, key.participant.identity))

    async def run(self) -> None:
        """Do what takes time, until cancelled. Nothing waits for anything else: a transfer takes long."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._do(*await self._pressed.get()))

    async def _do(self, action: KeyAction, identity: str) -> None:
        handset = self._handset(identity)
        if handset is None:
            return
        if action is KeyAction.HANG_UP:
            await self._keys.switchboard.hang_up(identity)
        elif not handset.is_put_through:
            handset.is_put_through = True
            await self._keys.switchboard.transfer(identity)
            handset.is_put_through = False
