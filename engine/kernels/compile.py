"""Ahead-of-time compilation of recorded launches, on a machine without a GPU."""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.kernels.launch import Launch

_POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.int16: "*i16",
    torch.int8: "*i8",
    torch.uint8: "*u8",
    torch.bool: "*i1",
    torch.float8_e4m3fn: "*fp8e4nv",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """One form of a kernel, how often it was launched, and what it takes of a multiprocessor: registers a
    thread, bytes spilled, bytes of shared memory.
    """

    name: str
    constants: dict[str, Any]
    launches: int
    registers: int
    spilled: int
    shared: int


def compile_launches(launches: Iterable[Launch], capability: int = 90) -> list[Compiled]:
    """Compiles each different form among `launches` for one GPU architecture (90: Hopper), as a launch would.

    Raises what Triton or ptxas raises for a kernel that does not compile.
    """
    target = GPUTarget("cuda", capability, 32)
    forms: dict[tuple[Any, ...], tuple[Launch, ASTSource]] = {}
    counts: Counter[tuple[Any, ...]] = Counter()
    for launch in launches:
        source = _source(launch)
        form = source.hash(), launch.warps, launch.stages
        forms[form] = launch, source
        counts[form] += 1
    compiled = []
    for form, (launch, source) in forms.items():
        options = {"num_warps": launch.warps, "num_stages": launch.stages, "enable_fp_fusion": True}
        kernel = triton.compile(source, target=target, options=options)
        registers, spilled = _resources(kernel.asm["cubin"])
        name, shared = source.fn.__name__, kernel.metadata.shared
        compiled.append(Compiled(name, launch.constants, counts[form], registers, spilled, shared))
    return compiled


def _source(launch: Launch) -> ASTSource:
    """The form that Triton's launcher would choose for these arguments."""
    parameters = launch.kernel.params
    signature: dict[str, str] = {}
    constants = dict(launch.constants)
    divisible: dict[tuple[int, ...], list[list[Any]]] = {}
    arguments = dict(zip((each.name for each in parameters), launch.arguments, strict=False))
    for index, parameter in enumerate(parameters):
        name, value = parameter.name, arguments.get(parameter.name)
        if value is None or isinstance(value, bool):
            constants.setdefault(name, value)
            signature[name] = "constexpr"
            continue
        if isinstance(value, Tensor):
            signature[name] = _POINTERS[value.dtype]
            aligned = value.storage_offset() * value.element_size() % 16 == 0
        elif isinstance(value, int):
            special = not parameter.do_not_specialize
            if special and value == 1:
                constants[name], signature[name] = 1, "constexpr"
                continue
            signature[name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            aligned = special and value % 16 == 0
        else:
            signature[name], aligned = "fp32", False
        if aligned:
            divisible[(index,)] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, divisible)


def _resources(cubin: bytes) -> tuple[int, int]:
    """Registers and spilled bytes of a compiled kernel, from the disassembler that Triton brings along."""
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        listing = subprocess.run(
            [tool, "--dump-resource-usage", file.name], check=True, capture_output=True, text=True
        ).stdout
    usage = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", listing))
    return int(usage["REG"]), int(usage["STACK"]) + int(usage["LOCAL"])
