from collections.abc import Callable
from typing import cast

import pytest
from livekit import rtc

from tests.worker.fakes import FakeMe
from worker.signs import agent_state, attributes
from worker.signs.agent_state import State
from worker.signs.attributes import Attributes
from worker.signs.troubles import Trouble, Troubles


class Room:
    """What a room was told: lines of text, and pairs of trouble and state as they were shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._sign = Attributes(cast(rtc.LocalParticipant, FakeMe()), attributes.at_once())
        self.troubles = Troubles(self._sign, self.lines.append)
        self.troubles.show_state(State.LISTENING)

    @property
    def shown(self) -> tuple[str, str]:
        return self._sign.asked(attributes.TROUBLE), self._sign.asked(agent_state.ATTRIBUTE)


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_trouble_is_told_once_and_shown_until_it_is_over(room: Room) -> None:
    room.troubles.begin(Trouble.ENGINE, "gone")
    room.troubles.begin(Trouble.ENGINE, "gone")
    assert room.shown == ("gone", "idle")
    room.troubles.end(Trouble.ENGINE, "back")
    assert room.shown == ("", "listening")
    assert room.lines == ["gone", "back"]


def test_the_end_of_what_was_no_trouble_is_not_told(room: Room) -> None:
    room.troubles.end(Trouble.ENGINE, "back")
    assert room.lines == []


def test_the_oldest_of_several_is_shown_and_all_are_told_to_who_comes_later(room: Room) -> None:
    room.troubles.begin(Trouble.ENGINE, "gone")
    room.troubles.begin(Trouble.MICROPHONE, "silent")
    assert room.shown[0] == "gone"
    room.troubles.tell_again()
    assert room.lines == ["gone", "silent"] * 2
    room.troubles.end(Trouble.ENGINE)
    assert room.shown[0] == "silent"


def test_the_state_changes_with_every_trouble_because_apps_lose_it_else(room: Room) -> None:
    before = room.shown
    steps: tuple[Callable[[], None], ...] = (
        lambda: room.troubles.begin(Trouble.ENGINE, "gone"),
        lambda: room.troubles.begin(Trouble.ENGINE, "full"),
        lambda: room.troubles.begin(Trouble.VOICE, "mute"),
        lambda: room.troubles.end(Trouble.ENGINE),
        lambda: room.troubles.end(Trouble.VOICE),
    )
    for step in steps:
        step()
        trouble, state = room.shown
        assert trouble == before[0] or state != before[1]
        before = room.shown


def test_while_something_is_wrong_nobody_is_shown_to_speak(room: Room) -> None:
    room.troubles.begin(Trouble.VOICE, "mute")
    room.troubles.show_state(State.SPEAKING)
    assert room.shown == ("mute", "idle")
    room.troubles.end(Trouble.VOICE)
    assert room.shown == ("", "speaking")
