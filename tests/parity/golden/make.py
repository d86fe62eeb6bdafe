"""Makes the golden files from the reference: weights, a recording and what the reference answers to it.

Run in the repository, with the reference in `.reference/`: python -m tests.parity.golden.make
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

HERE = Path(__file__).parent
FRAMES = 44

LM_CHANGES: dict[str, Any] = {
    "dim": 32, "context": 16, "depformer_dim": 16, "depformer_dim_feedforward": 66, "depformer_num_heads": 2,
    "depformer_num_layers": 2,
}  # fmt: skip
MIMI_CHANGES: dict[str, Any] = {"context": 10}


def narrow(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Half the size; the reference runs on the rounded values too."""
    return {key: value.to(torch.bfloat16).contiguous() for key, value in state.items()}


@torch.no_grad()
def main() -> None:
    """Writes `lm`, `mimi`, `session` (pcm int16 [T, 1920], tokens int64 [T, 17], sound float32 [8, 1920])."""
    from moshi.models import LMGen

    from tests.parity.reference import reference_lm, reference_mimi, sound

    lm, mimi = reference_lm(seed=11, **LM_CHANGES), reference_mimi(seed=11, **MIMI_CHANGES)
    for name, model in (("lm", lm), ("mimi", mimi)):
        state = narrow(model.state_dict())
        model.load_state_dict({key: value.float() for key, value in state.items()})
        save_file(state, HERE / f"{name}.safetensors")
    pcm = (sound(1, FRAMES, seed=11)[:, 0] * 8000).round().clamp(-32768, 32767).to(torch.int16)
    tokens, answers = [], []
    generator = LMGen(lm, use_sampling=False, check=True, support_out_of_sync=True)
    with generator.streaming(1), mimi.streaming(1):
        generator.step(torch.zeros(1, 8, 1, dtype=torch.int64))
        for frame in pcm:
            heard = mimi.encode(frame.float()[None, None] / 32768)
            said = generator.step(heard)
            answers.append(mimi.decode(said[:, 1:])[0, 0])
            tokens.append(torch.cat([said, heard], dim=1)[0, :, 0])
    session = {"pcm": pcm, "tokens": torch.stack(tokens), "sound": torch.stack(answers[-8:])}
    save_file(session, HERE / "session.safetensors")


if __name__ == "__main__":
    os.environ["NO_TORCH_COMPILE"] = "1"
    sys.path.append(str(HERE.parents[2] / ".reference"))
    torch.set_num_threads(1)
    main()
