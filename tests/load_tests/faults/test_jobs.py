"""Which process has a session: the one that said so last, of all workers."""

import json
from pathlib import Path

from load_tests.faults.jobs import job_of


def line(second: int, message: str, session: str, pid: int) -> str:
    told = {"time": f"2026-11-23T19:00:0{second}.000+00:00", "message": message}
    return json.dumps({**told, "session": session, "pid": pid})


def test_the_last_process_that_took_a_session_has_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    old.write_text(
        "\n".join(
            (
                "not JSON",
                line(1, "call began", "a", 11),
                line(2, "call began", "b", 12),
                line(4, "call ended", "a", 11),
            )
        )
    )
    new.write_text(line(3, "call goes on", "a", 21))
    logs = [old, new, tmp_path / "none.log"]
    assert job_of("a", logs) == 21
    assert job_of("b", logs) == 12
    assert job_of("c", logs) is None
