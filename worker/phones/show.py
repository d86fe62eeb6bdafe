"""What a LiveKit server knows of our telephones, for a terminal. No passwords."""

from collections.abc import Iterator

from livekit.protocol import sip as wire

from worker.phones.dialled import Dialled
from worker.phones.setup import Setup


async def lines(setup: Setup, now: float) -> list[str]:
    """A line for each trunk and for the rule."""
    inbound, rule, outbound = await setup.inbound(), await setup.rule(), await setup.outbound()
    return [
        f"inbound trunk: {'; '.join(_inbound(inbound)) if inbound else 'none'}",
        f"dispatch rule: {'; '.join(_rule(rule)) if rule else 'none'}",
        f"outbound trunk: {'; '.join(_outbound(outbound, now)) if outbound else 'none'}",
    ]


def _inbound(trunk: wire.SIPInboundTrunkInfo) -> Iterator[str]:
    yield f"{trunk.sip_trunk_id} for {', '.join(trunk.numbers)}"
    if trunk.allowed_addresses:
        yield f"from {', '.join(trunk.allowed_addresses)}"
    if trunk.auth_username:
        yield f"as {trunk.auth_username}"
    if trunk.allowed_numbers:
        yield f"callers {', '.join(trunk.allowed_numbers)} alone"


def _rule(rule: wire.SIPDispatchRuleInfo) -> Iterator[str]:
    agents = ", ".join(agent.agent_name for agent in rule.room_config.agents)
    yield f"{rule.sip_dispatch_rule_id} brings calls of {', '.join(rule.trunk_ids)} to {agents}"
    yield "numbers hidden" if rule.hide_phone_number else "numbers shown"


def _outbound(trunk: wire.SIPOutboundTrunkInfo, now: float) -> Iterator[str]:
    yield f"{trunk.sip_trunk_id} to {trunk.address} as {', '.join(trunk.numbers)}"
    yield f"{len(Dialled.read(trunk.metadata).recent(now))} calls dialled in the last hour"
