import re

import pytest
import torch

from engine.errors import SettingError
from engine.memory import Room, enough_memory
from engine.step.capacity import Variant

MOSHI = Variant("random:moshi-7b", torch.bfloat16)
GIB = 2**30


def test_this_machine_has_memory() -> None:
    room = Room.on(torch.device("cpu"))
    assert room.free is None or 2**20 < room.free < 2**60
    assert room.slots(Variant("random:tiny", torch.float32)) > 8


def test_a_gpu_keeps_room_for_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (79 * GIB, 80 * GIB))
    room = Room.on(torch.device("cuda"))
    assert room.free == 79 * GIB
    assert 40 <= room.slots(MOSHI) < Room(room.free, beside=0).slots(MOSHI)


def test_what_cannot_fit_is_refused_before_it_is_loaded_with_what_would() -> None:
    room = Room(free=78 * GIB, beside=GIB)
    room.check(MOSHI, slots=41)
    with pytest.raises(SettingError) as error:
        room.check(MOSHI, slots=64)
    first, second = str(error.value).splitlines()
    assert re.fullmatch(
        r"not enough memory for random:moshi-7b: weights 14\.\d\d GiB, slots 64 x 1\.4\d GiB, "
        r"about 1\.00 GiB beside them: 110\.\d\d GiB; 78\.00 GiB are free",
        first,
    )
    assert second == "what fits: --slots 41, or --kv int8 --slots 64"


def test_a_device_that_is_too_small_is_told_so() -> None:
    with pytest.raises(
        SettingError, match="what fits: --weights int8 --slots 1, or --weights int8 --kv int8 --slots"
    ):
        Room(free=11 * GIB, beside=GIB).check(MOSHI, slots=4)
    with pytest.raises(SettingError, match="nothing of it; take a smaller checkpoint or another device"):
        Room(free=4 * GIB, beside=GIB).check(MOSHI, slots=1)


def test_where_free_memory_is_unknown_nothing_is_refused_ahead() -> None:
    room = Room(free=None, beside=0)
    room.check(MOSHI, slots=1024)
    assert room.too_little_for(MOSHI, 64).endswith(
        "give fewer with --slots, or take --kv int8 or --weights int8"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GiB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_every_end_of_memory_becomes_the_error_that_helps(error: RuntimeError) -> None:
    with pytest.raises(SettingError, match="too large"), enough_memory(lambda: "too large"):
        raise error


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"), enough_memory(lambda: "too large"):
        raise RuntimeError("shape mismatch")
