"""What `sip setup` tells a LiveKit server, with its API as far as that uses it."""

from dataclasses import dataclass, field
from typing import cast

import pytest
from livekit import api
from livekit.protocol.sip import SIPDispatchRuleInfo, SIPInboundTrunkInfo

from worker.phones.setup import Change, Changes, Setup
from worker.phones.trunks_file import Inbound, Trunks
from worker.settings import SipSettings

IN = Trunks(inbound=Inbound(numbers=("+15550100",), allowed_addresses=("192.0.2.0/24",)))


@dataclass
class FakeSip:
    """A server that gives back what it was told."""

    trunks: list[SIPInboundTrunkInfo] = field(default_factory=list)
    rules: list[SIPDispatchRuleInfo] = field(default_factory=list)

    @property
    def sip(self) -> "FakeSip":
        return self

    async def list_inbound_trunk(self, _: object) -> api.ListSIPInboundTrunkResponse:
        return api.ListSIPInboundTrunkResponse(items=self.trunks)

    async def list_outbound_trunk(self, _: object) -> api.ListSIPOutboundTrunkResponse:
        return api.ListSIPOutboundTrunkResponse()

    async def list_dispatch_rule(self, _: object) -> api.ListSIPDispatchRuleResponse:
        return api.ListSIPDispatchRuleResponse(items=self.rules)

    async def create_inbound_trunk(self, request: api.CreateSIPInboundTrunkRequest) -> None:
        request.trunk.sip_trunk_id = "ST_1"
        self.trunks = [request.trunk]

    async def update_inbound_trunk(self, _trunk_id: str, trunk: SIPInboundTrunkInfo) -> None:
        self.trunks = [trunk]

    async def create_dispatch_rule(self, request: api.CreateSIPDispatchRuleRequest) -> None:
        request.dispatch_rule.sip_dispatch_rule_id = "SDR_1"
        self.rules = [request.dispatch_rule]


async def applied(server: FakeSip, longest_s: float) -> Changes:
    settings = SipSettings.load(livekit_agent_name="moshi", worker_max_call_seconds=longest_s)
    return await Setup(settings, cast(api.LiveKitAPI, server)).apply(IN)


@pytest.mark.parametrize(("longest_s", "ended_s"), [(600.4, 660), (90_000, 86_400)])
async def test_a_call_that_comes_in_ends_some_time_even_without_an_agent(
    longest_s: float, ended_s: int
) -> None:
    server = FakeSip()
    await applied(server, longest_s)
    assert [trunk.max_call_duration.seconds for trunk in server.trunks] == [ended_s]


async def test_the_same_again_changes_nothing_and_another_longest_time_the_trunk_alone() -> None:
    server = FakeSip()
    assert await applied(server, 600) == Changes(Change.CREATED, Change.CREATED, Change.ABSENT)
    assert await applied(server, 600) == Changes(Change.UNCHANGED, Change.UNCHANGED, Change.ABSENT)
    assert await applied(server, 900) == Changes(Change.UPDATED, Change.UNCHANGED, Change.ABSENT)
    assert [trunk.max_call_duration.seconds for trunk in server.trunks] == [960]
