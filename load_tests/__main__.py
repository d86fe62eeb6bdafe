"""`python -m load_tests COMMAND`: is it as fast and as steady with many callers as it says?"""

import importlib
import sys

import typer

COMMANDS = {
    "callers": ("load_tests.callers.command", "Many callers in real rooms, beside a bare echo."),
    "churn": ("load_tests.visits.churn", "Callers join and leave: does anything wear out?"),
    "ramp": ("load_tests.visits.ramp", "Callers join until some are refused: who notices?"),
    "faults": ("load_tests.faults.command", "One fault after the other, while callers talk."),
    "soak": ("load_tests.faults.soak", "Faults at random for a long time, while callers talk."),
    "engine": ("load_tests.sockets.command", "Many callers of an engine's own sockets, without rooms."),
    "hybrid": ("load_tests.hybrid.command", "What an LLM's answer takes beside its models."),
    "wire": ("load_tests.wire", "What one call puts on the network, and asks of Redis."),
    "simulate": ("load_tests.simulation.command", "Predict misses and refusals without a GPU."),
}
"""Of each command: the module whose `app` or `main` it is, and what it does."""


def app(named: str) -> typer.Typer:
    """The program; of its commands, only the one that is named can run.

    So its module alone is imported, and none needs what another needs.
    """
    program = typer.Typer(
        help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    program.callback()(lambda: None)
    for name, (module, does) in COMMANDS.items():
        if name != named:
            program.command(name, help=does)(lambda: None)
            continue
        found = importlib.import_module(module)
        if hasattr(found, "app"):
            program.add_typer(found.app, name=name, help=does)
        else:
            program.command(name)(found.main)
    return program


def main() -> None:
    """Run the command line."""
    app(sys.argv[1] if len(sys.argv) > 1 else "")()


if __name__ == "__main__":
    main()
