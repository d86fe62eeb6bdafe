"""`python -m deploy.settings_page`: write the tables of docs/settings.md from the code, as `make fix` does.

On the page each table has its place between two lines: `<!-- worker -->` and `<!-- end -->`.
"""

from collections.abc import Collection
from pathlib import Path

import typer
from pydantic_settings import BaseSettings

import engine.cli
import worker.cli
import worker.phones.cli
from engine.options import by_class, described, shown_default, variable
from engine.settings import EngineSettings
from worker.settings import SET_BY_COMMAND, DialSettings, WorkerSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEADER = "| setting | option | default | |\n|---|---|---|---|"


def page(text: str) -> str:
    """The page with the tables as the code has them now."""
    for name, table in (
        ("engine", _table(EngineSettings, engine.cli.app, "serve")),
        ("worker", _table(WorkerSettings, worker.cli.app, "start", "worker_", SET_BY_COMMAND)),
        ("worker sip", _table(DialSettings, worker.phones.cli.app, "call", "worker_")),
    ):
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert begin, f"docs/settings.md has no place for the settings of the {name}"
        assert end, f"docs/settings.md does not say where the settings of the {name} end"
        text = before + begin + table + end + after
    return text


def _table(
    kind: type[BaseSettings], app: typer.Typer, command: str, prefix: str = "", without: Collection[str] = ()
) -> str:
    group = typer.main.get_command(app)
    parameters = getattr(group, "commands")[command].params  # noqa: B009
    options = {parameter.name: parameter.opts[0] for parameter in parameters}
    classes = by_class(kind)
    parts = []
    for each, names in classes.items():
        title = f"**{(each.__doc__ or '').splitlines()[0]}**\n\n" if len(classes) > 1 else ""
        rows = [_row(kind, name, options, prefix) for name in names if name not in without]
        parts.append(f"{title}{_HEADER}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(kind: type[BaseSettings], name: str, options: dict[str, str], prefix: str) -> str:
    field = kind.model_fields[name]
    option, default = options.get(name.removeprefix(prefix), ""), shown_default(field)
    text = described(field)
    assert text, f"{variable(kind, name)} has no description: write it below the field, between three quotes"
    cells = (f"`{variable(kind, name)}`", option and f"`{option}`", default and f"`{default}`", text)
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
