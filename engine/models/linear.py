"""Matrix products: exact whatever the batch, and 8-bit weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# On CPU a product of fewer than four rows takes other kernels, which sum in another order, and several
# threads may leave such a few to one of them. In multiples of this, a row is the same in any company.
_ROWS = 4


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`, [..., out]. x: [..., in], weight: [out, in].

    On CPU in float32 each row's result does not depend on how many rows there are.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    count = rows.shape[0]
    if count % _ROWS:
        rows = F.pad(rows, (0, 0, 0, -count % _ROWS))
    y = F.linear(rows, weight, bias)
    return y[:count].view(*x.shape[:-1], weight.shape[0])


class Linear(nn.Module):
    """Weights [out, in] and, where the checkpoint has one, a bias."""

    bias: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs), requires_grad=False) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """[..., out]."""
        return linear(x, self.weight, self.bias)


class Int8Linear(nn.Module):
    """Weights as int8 [out, in] with the largest magnitude of each row in float32 [out] (upstream's q8
    files).

    Activations keep their type, unlike upstream's LLM.int8, which rounds them to 8 bits as well.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        assert not bias, "q8 checkpoints have no biases"
        self.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=torch.int8), requires_grad=False)
        self.weight_scb = nn.Parameter(torch.empty(outputs, dtype=torch.float32), requires_grad=False)

    def dequantised(self, dtype: torch.dtype) -> Tensor:
        """The weights that the 8 bits stand for, [out, in]."""
        return (self.weight.float() * self.weight_scb[:, None] / 127).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[..., out]; exactly what `linear` gives with the dequantised weights."""
        return linear(x, self.dequantised(x.dtype))


AnyLinear = Linear | Int8Linear
