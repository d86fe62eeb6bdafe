"""`python -m worker sip setup|show|remove|call`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.options import takes
from worker.commands import SECRET_OPTIONS, run
from worker.settings import LiveKitSettings, SipSettings

app = typer.Typer(no_args_is_help=True, help="Telephone numbers, through livekit-sip.")


@app.command()
@takes(LiveKitSettings, secrets=SECRET_OPTIONS)
def setup(
    trunks: Annotated[Path, typer.Argument(metavar="FILE", help="As deploy/sip/trunks.toml is.")],
    **options: Any,
) -> None:
    """Make trunks and the dispatch rule as a file says; what is so already stays as it is."""
    from worker.phones import trunks_file
    from worker.phones.bridge import livekit_sip
    from worker.phones.setup import Setup

    async def work() -> None:
        wanted, settings = trunks_file.read(trunks), SipSettings.load(**options)
        async with livekit_sip(settings) as livekit:
            changes = await Setup(settings, livekit).apply(wanted)
        print(f"inbound trunk {changes.inbound}")
        print(f"dispatch rule {changes.rule}")
        print(f"outbound trunk {changes.outbound}")

    run(work)


@app.command()
@takes(LiveKitSettings, secrets=SECRET_OPTIONS)
def show(**options: Any) -> None:
    """Say what the LiveKit server knows of this agent's telephones."""
    from worker.phones.bridge import livekit_sip
    from worker.phones.setup import Setup
    from worker.phones.show import lines

    async def work() -> None:
        settings = SipSettings.load(**options)
        async with livekit_sip(settings) as livekit:
            for line in await lines(Setup(settings, livekit), datetime.now(UTC).timestamp()):
                print(line)

    run(work)


@app.command()
@takes(LiveKitSettings, secrets=SECRET_OPTIONS)
def remove(**options: Any) -> None:
    """Take this agent's trunks and dispatch rule away. Calls that are on go on."""
    from worker.phones.bridge import livekit_sip
    from worker.phones.setup import Setup

    async def work() -> None:
        settings = SipSettings.load(**options)
        async with livekit_sip(settings) as livekit:
            changes = await Setup(settings, livekit).remove()
        print(f"inbound trunk {changes.inbound}")
        print(f"dispatch rule {changes.rule}")
        print(f"outbound trunk {changes.outbound}")

    run(work)


@app.command()
@takes(LiveKitSettings, secrets=SECRET_OPTIONS)
def call(
    number: Annotated[str, typer.Argument(metavar="+NUMBER", help="Whom to call.")], **options: Any
) -> None:
    """Let a telephone ring, and whoever answers talk to the model. Ctrl-C while it rings hangs up."""
    from worker.phones.bridge import livekit_sip
    from worker.phones.dial import dial, may_be_dialled

    async def work() -> None:
        settings = SipSettings.load(**options)
        may_be_dialled(number, settings)
        async with livekit_sip(settings) as livekit:
            answered = await dial(number, settings, livekit)
        print(f"answered: the call goes on in room {answered.room}", file=sys.stderr)

    run(work)
