"""A session that goes on in another process, and bytes that are none."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.checkpoint import Model, load
from engine.checkpoint.fingerprint import fingerprint
from engine.errors import SnapshotError
from engine.models.config import KvPrecision
from engine.state import saved as saved_sessions
from engine.state.saved import SavedSession, save
from engine.state.snapshot import Copier
from engine.step.frames import Sampling
from engine.step.moshi_step import MoshiStep

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
FRAMES, MORE = 12, 5


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny", CPU)


def heard(frame: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1920, generator=torch.Generator().manual_seed(frame))


def tokens(step: MoshiStep, slot: int, frames: range) -> list[list[int]]:
    rows = []
    for frame in frames:
        out = step(torch.tensor([slot]), heard(frame))
        rows.append([*out.text.tolist(), *out.codes[0].tolist(), *out.user_codes[0].tolist()])
    return rows


@pytest.fixture(scope="module")
def step(model: Model) -> MoshiStep:
    """Is only looked at."""
    return spoken(model)


def spoken(model: Model, kv: KvPrecision = "exact") -> MoshiStep:
    """A session in slot 2 that has answered some frames."""
    step = MoshiStep(model.mimi, model.lm, 3, kv)
    step.join(2, Sampling(temperature=0.7, seed=5))
    step.prime(torch.tensor([2]))
    tokens(step, 2, range(FRAMES))
    return step


def as_bytes(step: MoshiStep, print_: str = "f" * 64) -> bytes:
    snapshot, _ = Copier(CPU).snapshot(step.state, 2)
    return b"".join(save(SavedSession(snapshot, {"frames": FRAMES, "room": "évora"}), print_))


def loaded(step: MoshiStep, data: bytes, print_: str = "f" * 64) -> SavedSession:
    return saved_sessions.load(io.BytesIO(data), print_, step.state)


@pytest.mark.parametrize("kv", ["exact", "int8", "e4m3"])
def test_a_saved_session_goes_on_token_for_token_in_another_slot(model: Model, kv: KvPrecision) -> None:
    there = spoken(model, kv)
    here = MoshiStep(model.mimi, model.lm, 2, kv)
    saved = loaded(here, as_bytes(there))
    Copier(CPU).restore(here.state, 0, saved.snapshot)
    assert saved.session == {"frames": FRAMES, "room": "évora"}
    more = range(FRAMES, FRAMES + MORE)
    assert tokens(here, 0, more) == tokens(there, 2, more)


def go_on(path: str) -> None:
    """In another process: its own model, its own engine."""
    torch.set_num_threads(1)
    model = load("random:tiny", CPU)
    step = MoshiStep(model.mimi, model.lm, 4)
    with Path(path).open("rb") as file:
        saved = saved_sessions.load(file, fingerprint(model), step.state)
    Copier(CPU).restore(step.state, 3, saved.snapshot)
    sys.stdout.write(json.dumps(tokens(step, 3, range(saved.session["frames"], FRAMES + MORE))))


def test_a_saved_session_goes_on_token_for_token_in_another_process(model: Model, tmp_path: Path) -> None:
    there = spoken(model)
    path = tmp_path / "session"
    path.write_bytes(as_bytes(there, fingerprint(model)))
    code = f"from tests.engine.state.test_saved import go_on; go_on({str(path)!r})"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == tokens(there, 2, range(FRAMES, FRAMES + MORE))


def test_the_same_model_has_the_same_fingerprint_and_no_other_has(model: Model) -> None:
    again = load("random:tiny", CPU)
    assert fingerprint(again) == fingerprint(model)
    prints = {
        fingerprint(model),
        fingerprint(model, "int8"),
        fingerprint(load("random:tiny", CPU, weights="int8")),
    }
    with torch.no_grad():
        for weight in again.lm.transformer.parameters():
            weight.mul_(1.001)
    prints.add(fingerprint(again))
    assert len(prints) == 4


def edited(data: bytes, edit: Callable[[dict[str, list[object]]], object]) -> bytes:
    """With another header, of whatever length."""
    magic, version, header_bytes, tensor_bytes = struct.unpack_from("<8sIIQ", data)
    header = json.loads(data[24 : 24 + header_bytes])
    edit(header)
    text = json.dumps(header).encode()
    return struct.pack("<8sIIQ", magic, version, len(text), tensor_bytes) + text + data[24 + header_bytes :]


HUGE = (1 << 62) - 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: b"x" + data[1:], "not the bytes of a session"),
        (lambda data: data[:8] + b"\x02" + data[9:], "version 2; this engine reads 1"),
        (lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:], "a header of 4294967295 bytes"),
        (lambda data: data[:16] + b"\xff" * 7 + b"\0" + data[24:], "do not fit what the header says"),
        (lambda data: data[:24] + b"[" * 200 + data[224:], "header of the session cannot be read"),
        (lambda data: data[:10], "cut off"),
        (lambda data: data[:-5], "cut off"),
        (lambda data: data[:-2000] + b"\x77" + data[-1999:], "damaged on its way"),
        (lambda data: edited(data, lambda body: body.pop("parts")), "cannot be read"),
        (lambda data: edited(data, lambda body: body["parts"].pop()), "tensors; this engine's have"),
        (
            lambda data: edited(data, lambda body: body["parts"].__setitem__(0, ["float32", [HUGE]])),
            "no place",
        ),
        (lambda data: edited(data, lambda body: body["parts"].__setitem__(0, ["float64", [1]])), "no place"),
        (
            lambda data: edited(data, lambda body: body["parts"].__setitem__(0, ["float32", [-1, 1]])),
            "no place",
        ),
    ],
)
def test_bytes_that_are_no_session_are_one_clear_error(
    step: MoshiStep, spoil: Callable[[bytes], bytes], says: str
) -> None:
    with pytest.raises(SnapshotError, match=says):
        loaded(step, spoil(as_bytes(step)))


def test_a_session_of_another_model_is_refused(step: MoshiStep, model: Model) -> None:
    with pytest.raises(SnapshotError, match="of another model"):
        loaded(step, as_bytes(step), fingerprint(model))


def test_nothing_is_allocated_for_sizes_that_do_not_fit(
    step: MoshiStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = edited(as_bytes(step), lambda body: body["parts"].__setitem__(0, ["float32", [HUGE]]))
    monkeypatch.setattr("engine.state.saved.torch.empty", None)
    with pytest.raises(SnapshotError, match="no place"):
        loaded(step, data)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda step: step.state._parts[2].tokens.__setitem__((2, 0, 0), 10**6), "tokens that are none"),
        (lambda step: step.state._parts[2].tokens.__setitem__((2, 3, 0), -3), "tokens that are none"),
        (lambda step: step.state._parts[3].top_k.__setitem__((2, 0), 0), "a way to draw tokens"),
        (lambda step: step.state._parts[3].temperatures.__setitem__((2, 1), float("nan")), "a way to draw"),
        (lambda step: step.state._parts[3].seeds.__setitem__(2, -1), "a seed of -1"),
    ],
)
def test_a_state_that_no_session_leaves_behind_is_refused(
    model: Model, spoil: Callable[[MoshiStep], None], says: str
) -> None:
    step = spoken(model)
    spoil(step)
    with pytest.raises(SnapshotError, match=says):
        loaded(step, as_bytes(step))


def test_a_ring_that_is_shorter_than_its_offset_says_is_refused(step: MoshiStep) -> None:
    snapshot, _ = Copier(CPU).snapshot(step.state, 2)
    parts = [
        part[:, :-1] if part.dim() == 3 and part.shape[1] == FRAMES + 1 else part for part in snapshot.parts
    ]
    assert any(part.shape != whole.shape for part, whole in zip(parts, snapshot.parts, strict=True))
    data = b"".join(save(SavedSession(type(snapshot)(tuple(parts)), {}), "f" * 64))
    with pytest.raises(SnapshotError, match=r"a tensor \[.*\] where \[.*\] was expected"):
        loaded(step, data)
