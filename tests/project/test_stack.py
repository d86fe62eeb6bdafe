"""What `make run` is made of, with small stand-ins for the server and the worker."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.stack import Part, Stack, StackError

ROOT = Path(__file__).parents[2]
SERVES = "print('serving', flush=True); import time; time.sleep(60)"
TELLS_ITS_END = """
import signal, sys, time
def end(number, frame):
    print("ended", flush=True)
    open("ends", "a").write(sys.argv[1])
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("serving", flush=True)
time.sleep(60)
"""
STARTS_A_CHILD_AND_IGNORES_SIGTERM = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid))
print("serving", flush=True)
time.sleep(60)
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Part]:
    """Makes a part that runs a few lines of Python in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, code: str, *, shown: bool = False) -> Part:
        return Part(
            name, [sys.executable, "-c", code, name], "serving", tmp_path / f"{name}.log", shown=shown
        )

    return make


def ignore(_line: str) -> None:
    pass


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child that nobody has waited for yet is dead all the same.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(") ", 1)[1][0] != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < deadline, "it was left behind"
        time.sleep(0.02)


def test_parts_start_in_order_and_stop_in_reverse(part: Callable[..., Part], tmp_path: Path) -> None:
    ready = threading.Event()
    Stack([part("a", TELLS_ITS_END), part("b", TELLS_ITS_END)], ignore).run(ready.is_set, ready.set)
    assert ready.is_set()
    assert (tmp_path / "ends").read_text() == "ba"


def test_a_part_waits_until_the_one_before_it_serves(part: Callable[..., Part]) -> None:
    slow = "import time; time.sleep(0.5); open('slow-serves', 'w').close();" + SERVES
    after = "import os; assert os.path.exists('slow-serves');" + SERVES
    ready = threading.Event()
    second = part("after", after)
    Stack([part("slow", slow), second], ignore).run(ready.is_set, ready.set)
    assert second.log.read_text() == "serving\n"


def test_a_part_that_dies_ends_all_and_its_last_words_are_quoted(
    part: Callable[..., Part], tmp_path: Path
) -> None:
    dies = "import time; print('serving', flush=True); time.sleep(0.3); raise SystemExit('out of luck')"
    with pytest.raises(StackError, match=r"the dies ended with status 1(?s:.*)out of luck(?s:.*)dies\.log"):
        Stack([part("lives", TELLS_ITS_END), part("dies", dies)], ignore).run(lambda: False, lambda: None)
    assert (tmp_path / "ends").read_text() == "lives"


def test_a_part_that_never_serves_is_given_up(part: Callable[..., Part]) -> None:
    silent = replace(part("silent", "import time; time.sleep(60)"), ready_within_s=0.3)
    with pytest.raises(StackError, match=r"the silent is not ready after 0\.3 s"):
        Stack([silent], ignore).run(lambda: False, lambda: None)


def test_stopping_before_all_is_ready_starts_nothing_more(part: Callable[..., Part]) -> None:
    silent = part("silent", "import time; time.sleep(60)")
    never = part("never", SERVES)
    Stack([silent, never], ignore).run(silent.log.exists, lambda: pytest.fail("was announced"))
    assert not never.log.exists()


def test_a_part_that_will_not_end_is_killed_with_its_children(
    part: Callable[..., Part], tmp_path: Path
) -> None:
    ready = threading.Event()
    stubborn = part("stubborn", STARTS_A_CHILD_AND_IGNORES_SIGTERM)
    Stack([stubborn], ignore, stop_within_s=0.3).run(ready.is_set, ready.set)
    wait_until_gone(int((tmp_path / "child").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl(2)")
def test_a_stack_that_is_killed_leaves_no_part_behind(part: Callable[..., Part], tmp_path: Path) -> None:
    says_who = part("left", "import os; open('pid', 'w').write(str(os.getpid()));" + SERVES)
    program = (
        "from pathlib import Path; from deploy.stack import Part, Stack\n"
        f"part = Part('left', {says_who.command!r}, 'serving', Path('left.log'))\n"
        "Stack([part], print).run(lambda: False, lambda: print('ready', flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as stack:
        assert stack.stdout is not None
        assert stack.stdout.readline() == "ready\n"
        stack.kill()
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_a_taken_port_is_named_before_anything_starts(part: Callable[..., Part]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        needy = replace(part("needy", SERVES), ports={port: "set PORT"})
        with pytest.raises(
            StackError, match=rf"port {port}, which the needy needs, is taken: .* or set PORT"
        ):
            Stack([part("first", SERVES), needy], ignore).run(lambda: False, lambda: None)
    assert not needy.log.with_name("first.log").exists()


def test_a_missing_program_is_named(part: Callable[..., Part]) -> None:
    missing = replace(part("server", SERVES), command=["no-such-server"])
    with pytest.raises(StackError, match=r"cannot start the server \(no-such-server\): No such file"):
        Stack([missing], ignore).run(lambda: False, lambda: None)


def test_output_goes_to_the_log_and_where_shown_to_the_terminal(part: Callable[..., Part]) -> None:
    ready, lines = threading.Event(), list[str]()
    shown, hidden = part("shown", SERVES, shown=True), part("hidden", SERVES)
    Stack([shown, hidden], lines.append).run(ready.is_set, ready.set)
    assert lines == ["serving"]
    assert hidden.log.read_text() == "serving\n"


def test_the_terminals_ctrl_c_reaches_no_part_by_itself(part: Callable[..., Part]) -> None:
    ready = threading.Event()
    tells = part("tells", "import os; print(os.getsid(0));" + SERVES)
    Stack([tells], ignore).run(ready.is_set, ready.set)
    assert tells.log.read_text().split()[0] != str(os.getsid(0))
