"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option(help="LiveKit server. [LIVEKIT_URL]")]
Agent = Annotated[str | None, typer.Option(help="The worker's agent. [LIVEKIT_AGENT_NAME]")]
Repeats = Annotated[
    bool | None,
    typer.Option("--echo/--no-echo", help="Whether the model repeats what it hears, as parrot does."),
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the report here.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw it: .png, .svg or .pdf.")]
