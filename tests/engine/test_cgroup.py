"""Memory that a container leaves, by files as Linux has them."""

from pathlib import Path

import pytest
import torch

from engine.cgroup import left_bytes
from engine.memory import Room

MIB = 2**20


def group(folder: Path, limit: str, used: int, files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(
        f"anon 5\ninactive_file {files // 4}\nactive_file {files - files // 4}\n"
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The file in which a process finds its groups, under which the mount lies as `fs`."""
    (tmp_path / "cgroup").write_text("0::/pod/engine\n")
    return tmp_path / "cgroup"


def left(own: Path) -> int | None:
    return left_bytes(own, own.parent / "fs")


def test_what_is_left_is_the_limit_less_what_is_used_but_for_files_that_may_go(own: Path) -> None:
    group(own.parent / "fs/pod/engine", str(100 * MIB), 70 * MIB, 20 * MIB)
    assert left(own) == 50 * MIB


def test_a_group_around_it_may_leave_less(own: Path) -> None:
    group(own.parent / "fs/pod/engine", "max", 70 * MIB, 0)
    group(own.parent / "fs/pod", str(80 * MIB), 75 * MIB, 0)
    assert left(own) == 5 * MIB
    group(own.parent / "fs/pod/engine", str(71 * MIB), 70 * MIB, 0)
    assert left(own) == MIB


def test_a_container_whose_mount_begins_at_its_own_group_is_found_there(own: Path) -> None:
    group(own.parent / "fs", str(40 * MIB), 10 * MIB, 0)
    assert left(own) == 30 * MIB
    own.write_text("0::/../../elsewhere\n")
    assert left(own) == 30 * MIB


def test_what_is_more_than_the_limit_already_leaves_nothing(own: Path) -> None:
    group(own.parent / "fs", str(40 * MIB), 41 * MIB, 0)
    assert left(own) == 0


def test_the_older_groups_have_other_names(own: Path) -> None:
    own.write_text("9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n")
    folder = own.parent / "fs/memory/docker/abc"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{64 * MIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{32 * MIB}\n")
    (folder / "memory.stat").write_text(f"total_active_file {MIB}\ntotal_inactive_file {MIB}\n")
    assert left(own) == 34 * MIB


def test_where_nothing_limits_it_all_of_the_machine_is_left(own: Path, tmp_path: Path) -> None:
    assert left(own) is None
    group(own.parent / "fs/pod/engine", "max", 70 * MIB, 0)
    assert left(own) is None
    assert left_bytes(tmp_path / "no such file") is None


def test_an_engine_in_a_container_plans_with_what_the_container_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr("engine.memory.left_bytes", lambda: 2 * MIB)
    assert Room.on(cpu).free == 2 * MIB
    monkeypatch.setattr("engine.memory.left_bytes", lambda: None)
    assert (Room.on(cpu).free or 0) > 2 * MIB
