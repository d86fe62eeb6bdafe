"""The script for a GPU machine, as far as a CPU can try it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ABSENT = (
    "pydantic",
    "pydantic_settings",
    "soundfile",
    "soxr",
    "httpx2",
    "huggingface_hub",
    "typer",
    "dotenv",
)
RUN = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({ABSENT}))
sys.argv = ["load_tests.gpu", *sys.argv[1:]]
runpy.run_module("load_tests.gpu", run_name="__main__")
"""


def test_it_runs_without_what_a_gpu_machine_may_lack_and_notes_what_it_finds(tmp_path: Path) -> None:
    arguments = ["kernels", "--checkpoint", "random:tiny", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "kernels.json").read_text())
    kinds = {note["kind"] for note in report["notes"]}
    assert kinds == {"memory", "node of a graph", "product", "attention", "codec"}
    assert report["machine"]["versions"]["torch"]
    assert report["machine"]["command"].startswith("load_tests.gpu kernels --checkpoint random:tiny")
    assert "codec: way decode" in done.stdout


def test_a_stage_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    arguments = ["graphs", "--checkpoint", "random:tiny", "--out", str(tmp_path), "--cap", "2"]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "ended after 2 s" in done.stdout
