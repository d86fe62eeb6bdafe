from typing import cast

import pytest
from livekit import api

from worker import dispatches
from worker.dispatches import dispatch_again, read, saying_anew


@pytest.mark.parametrize(
    "metadata", ["", "an app's own", '{"moshi": {"seed": 7}}', '{"moshi.anew": 7}', "[" * 10_000]
)
def test_what_a_dispatch_was_given_is_the_same_after_it_was_dispatched_again_and_again(metadata: str) -> None:
    assert read(metadata) == (metadata, False)
    assert read(saying_anew(metadata)) == (metadata, True)
    assert saying_anew(saying_anew(metadata)) == saying_anew(metadata)


class Busy:
    """A LiveKit that takes a dispatch at the second time only."""

    def __init__(self) -> None:
        self.agent_dispatch = self
        self.asked: list[str] = []

    async def delete_dispatch(self, dispatch_id: str, _room: str) -> None:
        self.asked.append(dispatch_id)

    async def create_dispatch(self, asked: api.CreateAgentDispatchRequest) -> api.AgentDispatch:
        self.asked.append(asked.metadata)
        if len(self.asked) == 2:
            raise api.ServerError("unavailable", "no response from servers", status=503)
        return api.AgentDispatch(id="AD_2")


async def test_a_dispatch_that_was_deleted_is_made_though_the_server_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatches, "_AGAIN_S", 0.0)
    busy = Busy()
    before = [api.AgentDispatch(id="AD_1", metadata="mine")]
    given = await dispatch_again(cast(api.LiveKitAPI, busy), "lobby", "moshi", before, anew=False)
    assert given is not None
    assert given.id == "AD_2"
    assert busy.asked == ["AD_1", "mine", "mine"]
