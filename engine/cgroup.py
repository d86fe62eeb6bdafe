"""What a container may still take of the machine's memory: Linux's control groups."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class _Names:
    """How a version of control groups calls what; `files`: those in memory, dropped when it is needed."""

    limit: str
    used: str
    files: tuple[str, str]


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))
_V2 = _Names("memory.max", "memory.current", ("active_file", "inactive_file"))


def left_bytes(groups: Path = _GROUPS, mount: Path = _MOUNT) -> int | None:
    """The least that is left to this process by its group and those around it; None where nothing limits it,
    or nothing can be read of it.
    """
    if not groups.exists():
        return None
    left = [each for line in groups.read_text().splitlines() for each in _left(line, mount)]
    return min(left, default=None)


def _left(line: str, mount: Path) -> Iterator[int]:
    """`line`: a hierarchy's number, what it controls, and this process's group in it."""
    number, controls, group = line.split(":", 2)
    if number != "0" and "memory" not in controls.split(","):
        return
    names, top = (_V2, mount) if number == "0" else (_V1, mount / "memory")
    path = PurePosixPath(group)
    # In a container the mount may begin at its own group, whatever that is called outside.
    for around in (path, *path.parents):
        if ".." not in around.parts:
            with suppress(OSError, ValueError):
                yield _left_in(top.joinpath(*around.parts[1:]), names)


def _left_in(folder: Path, names: _Names) -> int:
    """Raises OSError where there is no such group, ValueError where it has no limit."""
    limit, used = (int((folder / name).read_text()) for name in (names.limit, names.used))
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    files = sum(int(stat.get(name, 0)) for name in names.files)
    return min(limit, max(0, limit - used + files))
