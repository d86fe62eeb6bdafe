"""Trunks and the dispatch rule at a LiveKit server, as a file describes them; again: nothing changes.

All are found by their name, which is the agent's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from livekit import api
from livekit.protocol import sip as wire
from pydantic import SecretStr

from engine.errors import SettingError
from worker.phones.trunks_file import Inbound, Outbound, Trunks
from worker.settings import SipSettings

ROOM_PREFIX = "phone"
RINGING_S = 20
"""A call that nobody has taken by then is ended: livekit-sip lets it ring for minutes."""
MARGIN_S = 60
"""The agent ends a call at WORKER_MAX_CALL_SECONDS. So much later livekit-sip does, if the agent is gone."""
LONGEST_S = 86_400
"""More is not asked for: livekit-sip has a longest time of its own, and takes no longer one."""

Thing = TypeVar("Thing", wire.SIPInboundTrunkInfo, wire.SIPOutboundTrunkInfo, wire.SIPDispatchRuleInfo)


class Change(StrEnum):
    """What was done with one of them."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    ABSENT = "not there"


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done with each."""

    inbound: Change
    rule: Change
    outbound: Change


class Setup:
    """Of the agent that the settings name. Raises SettingError if they name none."""

    def __init__(self, settings: SipSettings, livekit: api.LiveKitAPI) -> None:
        self._name = settings.livekit_agent_name
        self._settings = settings
        self._sip = livekit.sip
        if not self._name:
            raise SettingError(
                "LIVEKIT_AGENT_NAME is not set: telephone calls are brought to an agent by its name. Give "
                "the worker and this command the same one"
            )

    async def apply(self, trunks: Trunks) -> Changes:
        """Make it so."""
        # Both before anything is done: a password may be missing.
        inbound = _inbound(self._name, trunks.inbound, self._settings) if trunks.inbound else None
        outbound = _outbound(self._name, trunks.outbound, self._settings) if trunks.outbound else None
        now = await self.inbound()
        if inbound is None:
            rule = await _removed(await self.rule(), self._remove_rule)
            return Changes(
                await _removed(now, self._remove_trunk), rule, await self._bring_outbound(outbound)
            )
        first = await _brought(now, inbound, self._create_inbound, self._update_inbound)
        # It has a number only now.
        trunk = await self.inbound()
        assert trunk is not None
        wanted = _rule(self._name, trunk.sip_trunk_id)
        second = await _brought(await self.rule(), wanted, self._create_rule, self._update_rule)
        return Changes(first, second, await self._bring_outbound(outbound))

    async def remove(self) -> Changes:
        """Take all of it away."""
        rule = await _removed(await self.rule(), self._remove_rule)
        inbound = await _removed(await self.inbound(), self._remove_trunk)
        return Changes(inbound, rule, await _removed(await self.outbound(), self._remove_trunk))

    async def inbound(self) -> wire.SIPInboundTrunkInfo | None:
        """The trunk that brings calls, if there is one."""
        return self._ours((await self._sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items)

    async def outbound(self) -> wire.SIPOutboundTrunkInfo | None:
        """The trunk that takes calls, if there is one."""
        return self._ours((await self._sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items)

    async def rule(self) -> wire.SIPDispatchRuleInfo | None:
        """Where calls that come in go, if they go anywhere."""
        return self._ours((await self._sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items)

    def _ours(self, things: Sequence[Thing]) -> Thing | None:
        named = [thing for thing in things if thing.name == self._name]
        if len(named) > 1:
            raise SettingError(
                f"the LiveKit server has {len(named)} {type(named[0]).__name__} called {self._name!r}: which "
                "one is meant? Remove the others, or name the agent otherwise"
            )
        return named[0] if named else None

    async def _bring_outbound(self, wanted: wire.SIPOutboundTrunkInfo | None) -> Change:
        now = await self.outbound()
        if wanted is None:
            return await _removed(now, self._remove_trunk)
        return await _brought(now, wanted, self._create_outbound, self._update_outbound)

    async def _create_inbound(self, trunk: wire.SIPInboundTrunkInfo) -> None:
        await self._sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=trunk))

    async def _update_inbound(self, trunk: wire.SIPInboundTrunkInfo) -> None:
        await self._sip.update_inbound_trunk(trunk.sip_trunk_id, trunk)

    async def _create_outbound(self, trunk: wire.SIPOutboundTrunkInfo) -> None:
        await self._sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))

    async def _update_outbound(self, trunk: wire.SIPOutboundTrunkInfo) -> None:
        await self._sip.update_outbound_trunk(trunk.sip_trunk_id, trunk)

    async def _create_rule(self, rule: wire.SIPDispatchRuleInfo) -> None:
        await self._sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=rule))

    async def _update_rule(self, rule: wire.SIPDispatchRuleInfo) -> None:
        await self._sip.update_dispatch_rule(rule.sip_dispatch_rule_id, rule)

    async def _remove_trunk(self, trunk: wire.SIPInboundTrunkInfo | wire.SIPOutboundTrunkInfo) -> None:
        await self._sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=trunk.sip_trunk_id))

    async def _remove_rule(self, rule: wire.SIPDispatchRuleInfo) -> None:
        asked = api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
        await self._sip.delete_dispatch_rule(asked)


async def _brought(
    now: Thing | None,
    wanted: Thing,
    create: Callable[[Thing], Awaitable[None]],
    update: Callable[[Thing], Awaitable[None]],
) -> Change:
    if now is None:
        await create(wanted)
        return Change.CREATED
    for name in ("sip_trunk_id", "sip_dispatch_rule_id", "metadata"):
        if hasattr(now, name):
            setattr(wanted, name, getattr(now, name))
    for name in ("created_at", "updated_at"):
        if now.HasField(name):
            getattr(wanted, name).CopyFrom(getattr(now, name))
    if wanted == now:
        return Change.UNCHANGED
    await update(wanted)
    return Change.UPDATED


async def _removed(now: Thing | None, remove: Callable[[Thing], Awaitable[None]]) -> Change:
    if now is None:
        return Change.ABSENT
    await remove(now)
    return Change.REMOVED


def _inbound(name: str, inbound: Inbound, settings: SipSettings) -> wire.SIPInboundTrunkInfo:
    trunk = wire.SIPInboundTrunkInfo(
        name=name,
        numbers=inbound.numbers,
        allowed_addresses=inbound.allowed_addresses,
        allowed_numbers=inbound.allowed_numbers,
        auth_username=inbound.username,
        auth_password=_password("inbound", inbound.username, settings.worker_sip_inbound_password),
        media_encryption=_encryption(inbound.encryption),
    )
    trunk.ringing_timeout.FromSeconds(RINGING_S)
    trunk.max_call_duration.FromSeconds(round(min(settings.worker_max_call_seconds + MARGIN_S, LONGEST_S)))
    return trunk


def _outbound(name: str, outbound: Outbound, settings: SipSettings) -> wire.SIPOutboundTrunkInfo:
    return wire.SIPOutboundTrunkInfo(
        name=name,
        address=outbound.address,
        transport=f"SIP_TRANSPORT_{outbound.transport.upper()}",
        numbers=outbound.numbers,
        auth_username=outbound.username,
        auth_password=_password("outbound", outbound.username, settings.worker_sip_outbound_password),
        media_encryption=_encryption(outbound.encryption),
    )


def _rule(name: str, trunk_id: str) -> wire.SIPDispatchRuleInfo:
    """A room for each caller, with a name that tells nobody who they are."""
    rule = wire.SIPDispatchRuleInfo(
        name=name,
        trunk_ids=[trunk_id],
        rule=wire.SIPDispatchRule(
            dispatch_rule_individual=wire.SIPDispatchRuleIndividual(room_prefix=ROOM_PREFIX)
        ),
        hide_phone_number=True,
    )
    rule.room_config.agents.append(api.RoomAgentDispatch(agent_name=name))
    return rule


def _password(way: str, username: str, password: SecretStr | None) -> str:
    setting = f"WORKER_SIP_{way.upper()}_PASSWORD"
    if bool(username) != (password is not None):
        missing = setting if username else f"{way}.username in the file"
        raise SettingError(f"{missing} is missing: a name and a password go together")
    return password.get_secret_value() if password else ""


def _encryption(wanted: str) -> str:
    return f"SIP_MEDIA_ENCRYPT_{wanted.upper()}"
