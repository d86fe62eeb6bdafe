"""Plain functions that have a twin in Triton, and which of the two runs. Imports no Triton itself."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar, cast

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_everywhere: ContextVar[bool] = ContextVar("kernels everywhere", default=False)


class Fused(Generic[P, R]):
    """A function in plain PyTorch whose first argument, a tensor, decides: on CUDA its twin in Triton runs.

    The plain function is the meaning; the twin has its name and its arguments, and agrees within rounding.
    """

    def __init__(self, plain: Callable[P, R], module: str) -> None:
        self.plain = plain
        self._module = module
        update_wrapper(self, plain)

    @property
    def kernel(self) -> Callable[P, R]:
        """The twin."""
        twin = getattr(importlib.import_module(f"engine.kernels.{self._module}"), self.plain.__name__)
        return cast("Callable[P, R]", twin)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Either of the two."""
        first = args[0]
        assert isinstance(first, Tensor), "the first argument tells the device"
        function = self.kernel if first.is_cuda or _everywhere.get() else self.plain
        return function(*args, **kwargs)


def fused(module: str) -> Callable[[Callable[P, R]], Fused[P, R]]:
    """Marks a plain function whose twin of the same name is in `engine.kernels.<module>`."""
    return lambda plain: Fused(plain, module)


def on_kernels(tensor: Tensor) -> bool:
    """Whether what is computed from `tensor` runs as kernels."""
    return tensor.is_cuda or _everywhere.get()


@contextmanager
def kernels_everywhere() -> Iterator[None]:
    """Runs the kernels on any device: in Triton's interpreter, or to record what would be launched."""
    token = _everywhere.set(True)
    try:
        yield
    finally:
        _everywhere.reset(token)
