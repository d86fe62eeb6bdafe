"""Each setting is described once, in the code: help and docs/settings.md say the same."""

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from typer.testing import CliRunner

import engine.cli
import worker.cli
from deploy import settings_page
from engine.environment import FROM_ENVIRONMENT
from engine.options import help_of, takes, variable
from engine.settings import EngineSettings
from worker.settings import WorkerSettings


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(**FROM_ENVIRONMENT, env_prefix="X_")

    x_age: int | None = None
    """How old, in `years`, as [the law](law.md#old) has it."""
    loud: bool = False
    """Nobody can miss it."""
    key: SecretStr = SecretStr("k")
    """What opens it."""


def all_kinds(kind: type[BaseSettings]) -> set[type[BaseSettings]]:
    """Those made from it."""
    return {kind, *(each for made in kind.__subclasses__() for each in all_kinds(made))}


def test_the_page_is_what_the_code_makes_it() -> None:
    text = settings_page.PAGE.read_text()
    assert text == settings_page.page(text), "write it anew: python -m deploy.settings_page"


def test_the_page_has_every_setting() -> None:
    text = settings_page.PAGE.read_text()
    kinds = [
        kind for kind in all_kinds(BaseSettings) if kind.__module__ in ("engine.settings", "worker.settings")
    ]
    assert {EngineSettings, WorkerSettings} <= set(kinds)
    names = {variable(kind, name) for kind in kinds for name in kind.model_fields}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


@pytest.mark.parametrize(("app", "command"), [(engine.cli.app, "serve"), (worker.cli.app, "start")])
def test_no_secret_but_those_that_livekit_takes_is_an_option(app: object, command: str) -> None:
    secrets = {
        name.removeprefix("worker_").replace("_", "-")
        for kind in (EngineSettings, WorkerSettings)
        for name, field in kind.model_fields.items()
        if "Secret" in str(field.annotation)
    }
    assert {"token", "peer-token", "call-secret"} <= secrets
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output  # type: ignore[arg-type]
    shown = {secret for secret in secrets if f"--{secret} " in said}
    assert shown <= {"livekit-api-secret", "engine-token"}


def test_help_is_the_description_without_its_markdown() -> None:
    assert help_of(_Settings, "x_age") == "How old, in years, as the law has it. [X_X_AGE]"
    assert help_of(_Settings, "loud") == "Nobody can miss it. [X_LOUD, else false]"


def test_a_command_takes_its_settings_by_the_names_of_their_fields() -> None:
    given: dict[str, object] = {}

    @takes(_Settings, prefix="x_")
    def command(place: str, **options: object) -> None:
        given.update(options, place=place)

    command(place="here", age=3, loud=None)
    assert given == {"place": "here", "x_age": 3, "loud": None}
