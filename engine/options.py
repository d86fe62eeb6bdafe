"""Settings as options of a command: one for each, with its description as help."""

import inspect
import re
from collections.abc import Callable, Collection
from functools import wraps
from typing import Annotated, Any, TypeVar, cast, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

R = TypeVar("R")


def takes(
    kind: type[BaseSettings],
    *,
    prefix: str = "",
    secrets: Collection[str] = (),
    without: Collection[str] = (),
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command, in the place of its `**options`, an option for each field of `kind`, None if not given.

    Options are called as the fields are, less `prefix`. Fields `without` have none; secrets neither, since
    everybody on the machine could read them, but for those named in `secrets`.
    """
    shown = [
        name
        for names in by_class(kind).values()
        for name in names
        if name not in without and (name in secrets or not _is_secret(kind.model_fields[name]))
    ]
    names = {name.removeprefix(prefix): name for name in shown}

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def run(**given: Any) -> R:
            return command(**{names.get(name, name): value for name, value in given.items()})

        signature = inspect.signature(command)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        options = [_parameter(option, kind, name) for option, name in names.items()]
        cast(Any, run).__signature__ = signature.replace(parameters=[*own, *options])
        return run

    return decorate


def by_class(kind: type[BaseSettings]) -> dict[type[BaseSettings], list[str]]:
    """The names of its fields under the class that has them: its own, then those of its bases."""
    classes = [each for each in kind.__mro__ if issubclass(each, BaseSettings) and each is not BaseSettings]
    return {each: [name for name in kind.model_fields if name in each.__annotations__] for each in classes}


def help_of(kind: type[BaseSettings], name: str) -> str:
    """What a terminal says of a setting: its description, and what it is called in the environment."""
    field = kind.model_fields[name]
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)|`([^`]*)`", r"\1\2", described(field))
    default = shown_default(field)
    return f"{plain} [{variable(kind, name)}{f', else {default}' if default else ''}]"


def described(field: FieldInfo) -> str:
    """A setting's description in one line of Markdown."""
    return " ".join((field.description or "").split())


def variable(kind: type[BaseSettings], name: str) -> str:
    """What a setting is called in the environment."""
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def shown_default(field: FieldInfo) -> str:
    """A setting's default as one would type it; empty if there is none."""
    default = field.default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default in (None, ()) else str(default)


def _parameter(option: str, kind: type[BaseSettings], name: str) -> inspect.Parameter:
    field = kind.model_fields[name]
    # Text of several values, or of a secret, is for the settings to take apart.
    as_text = _is_secret(field) or get_origin(field.annotation) is tuple
    annotation: Any = str if as_text else field.annotation
    return inspect.Parameter(
        option,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[annotation | None, typer.Option(help=help_of(kind, name))],
    )


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)
