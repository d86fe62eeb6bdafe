"""Makes the golden tokens of PersonaPlex out of its own code, on small random weights.

Its package is called as Kyutai's, so this is a process of its own. Run in the repository, with the reference
in `.reference/` for what both need:

    git clone https://github.com/NVIDIA/personaplex .personaplex
    python -m tests.parity.golden.personaplex .personaplex tests/parity/golden/personaplex.safetensors
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.persona.folder import LUFS
from engine.persona.loudness import levelled
from tests.parity.personaplex import (
    LM_FILE,
    LM_SMALL,
    MIMI_FILE,
    MIMI_SMALL,
    heard,
    recording,
    write_checkpoint,
)

FRAMES = 90
TEXT = [5, 17, 40, 8, 9, 33, 21, 11]
"""A role; its tags are among these."""
REFERENCE = Path(__file__).parents[3] / ".reference"


def models(folder: Path) -> tuple[Any, Any]:
    """The language model and the codec, by its own loaders, made small."""
    from moshi.models import loaders

    small = {key: value for key, value in LM_SMALL.items() if key in loaders._lm_kwargs}
    loaders._lm_kwargs = loaders._lm_kwargs | small
    loaders._seanet_kwargs = MIMI_SMALL["seanet"]
    loaders._quantizer_kwargs = MIMI_SMALL["quantizer"]
    loaders._transformer_kwargs = MIMI_SMALL["transformer"]
    lm = loaders.get_moshi_lm(folder / LM_FILE, device="cpu", dtype=torch.float32)
    return lm, loaders.get_mimi(folder / MIMI_FILE)


@torch.no_grad()
def answers(generator: Any, mimi: Any) -> Tensor:
    """What it says after its prompts, int64 [FRAMES, 9]: it answers a frame one call later than it could."""
    generator.reset_streaming()
    mimi.reset_streaming()
    generator.step_system_prompts(mimi)
    frames = torch.from_numpy(heard(FRAMES + 1))
    said = [generator.step(frame[None, :, None])[0, :9, 0] for frame in frames]
    return torch.stack(said[1:])


@torch.no_grad()
def main(out: Path) -> None:
    """Writes what it said after a recording and a role, after the same as a .pt file, and after a role."""
    from moshi.models import LMGen

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder)
        lm, mimi = models(folder)
        generator = LMGen(
            lm,
            device="cpu",
            use_sampling=False,
            check=True,
            audio_silence_frame_cnt=6,
            sample_rate=24_000,
            frame_rate=12.5,
            text_prompt_tokens=TEXT,
            save_voice_prompt_embeddings=True,
        )
        generator.streaming_forever(1)
        mimi.streaming_forever(1)
        role = answers(generator, mimi)
        generator.voice_prompt = str(folder / "voice.wav")
        generator.voice_prompt_audio = levelled(recording().astype(np.float64), 24_000, LUFS)[None]
        mimi.reset_streaming()
        codes = torch.cat(list(generator._encode_voice_prompt_frames(mimi)), dim=-1)[0]
        spoken = answers(generator, mimi)
        voice = torch.load(folder / "voice.pt", weights_only=True)  # noqa: TID251  # written a moment ago
        generator.load_voice_prompt_embeddings(str(folder / "voice.pt"))
        replayed = answers(generator, mimi)
    save_file(
        {
            "codes": codes.to(torch.int64),
            "embeddings": voice["embeddings"],
            "cache": voice["cache"],
            "role": role,
            "spoken": spoken,
            "replayed": replayed,
        },
        out,
    )


if __name__ == "__main__":
    os.environ["NO_TORCH_COMPILE"] = "1"
    # Kyutai's comes after it, for what both need.
    sys.path[:0] = [str(Path(sys.argv[1]) / "moshi")]
    sys.path.append(str(REFERENCE))
    torch.set_num_threads(1)
    main(Path(sys.argv[2]))
