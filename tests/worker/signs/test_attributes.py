import asyncio
from typing import cast

import pytest
from livekit import rtc

from tests.worker.fakes import FakeMe
from tests.worker.waiting import until
from worker.signs.attributes import Attributes, at_once

STATE = "lk.agent.state"


def shown_by(me: FakeMe, at_once: dict[str, str] | None = None) -> Attributes:
    return Attributes(cast(rtc.LocalParticipant, me), at_once or {})


def test_whoever_comes_is_told_at_once_that_this_is_a_machine() -> None:
    assert "machine" in at_once()["moshi.notice"]
    assert at_once()["moshi.text_input"] == "false"
    assert at_once()[STATE] == "initializing"


async def test_changes_alone_are_shown() -> None:
    me = FakeMe()
    attributes = shown_by(me, {STATE: "initializing"})
    running = asyncio.create_task(attributes.run())
    for state in ("initializing", "listening", "listening", "speaking"):
        attributes.show(STATE, state)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await until(lambda: me.states == ["listening", "speaking"])
    running.cancel()


async def test_what_changes_together_is_set_together() -> None:
    me = FakeMe()
    attributes = shown_by(me)
    attributes.show("moshi.model", "a")
    attributes.show("moshi.model", "b")
    attributes.show("moshi.model_delay_ms", "80")
    running = asyncio.create_task(attributes.run())
    await until(lambda: me.attributes)
    assert me.attributes == [{"moshi.model": "b", "moshi.model_delay_ms": "80"}]
    running.cancel()


async def test_what_cannot_be_shown_does_not_keep_the_next_from_it(caplog: pytest.LogCaptureFixture) -> None:
    me = FakeMe()
    attributes = shown_by(me)
    working = me.set_attributes

    async def failing(attributes: dict[str, str]) -> None:
        me.set_attributes = working  # type: ignore[method-assign]  # the next one works
        raise RuntimeError("no connection")

    me.set_attributes = failing  # type: ignore[method-assign]  # the first one fails
    running = asyncio.create_task(attributes.run())
    attributes.show(STATE, "listening")
    await until(lambda: "could not be shown" in caplog.text)
    attributes.show(STATE, "speaking")
    await until(lambda: me.states == ["speaking"])
    running.cancel()
