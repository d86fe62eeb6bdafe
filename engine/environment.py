"""Names of environment variables: a typo must not silently leave a default in force."""

from collections.abc import Iterable
from difflib import get_close_matches

from engine.errors import SettingError


def reject_unknown(prefix: str, known: Iterable[str], given: Iterable[str]) -> None:
    """Raise SettingError for every `given` name with `prefix` that is not `prefix` + one of `known`."""
    names = sorted(prefix + name for name in known)
    faults = []
    for name in sorted(given):
        if name.startswith(prefix) and name not in names:
            near = get_close_matches(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
            faults.append(f"no setting is called {name}: {hint}")
    if faults:
        raise SettingError("; ".join(faults))
