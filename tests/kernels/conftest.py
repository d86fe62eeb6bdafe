import pytest
import torch

pytest.importorskip("triton", reason="Triton has no build for this platform")


@pytest.fixture
def device() -> torch.device:
    """Where kernels run: the GPU, or, as everywhere else, Triton's interpreter on the CPU."""
    from engine.kernels.launch import INTERPRETED

    return torch.device("cpu" if INTERPRETED.value else "cuda")
