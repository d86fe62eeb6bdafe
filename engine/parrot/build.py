"""Makes the embedded checkpoint: `python -m engine.parrot.build --out DIR`.

Needs the espeak-ng program and about two minutes on one core. One machine makes the same bytes every time;
another espeak-ng, processor or library may make other codebooks.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from engine.errors import UserError
from engine.parrot.carriers import CARRIERS, CARRIERS_HZ
from engine.parrot.codebooks import train_quantizer
from engine.parrot.copier import closed_form_lm
from engine.parrot.corpus import Samples, training_sound
from engine.parrot.shape import CARD, CODEBOOKS, lm_config, mimi_config
from engine.parrot.stream import DELAY, HANGOVER, LEAD, WORDS
from engine.parrot.tokenizer import train_tokenizer, word_ids
from engine.parrot.vocoder import closed_form_mimi, latents

log = logging.getLogger(__name__)

LM_FILE = "model.safetensors"
MIMI_FILE = "tokenizer-parrot-mimi.safetensors"
MIMI_CONFIG_FILE = "mimi_config.json"
TOKENIZER_FILE = "tokenizer_spm_parrot.model"
FACTS_FILE = "parrot.json"

SEED = 0
SPEECH_RMS = 0.006
"""A code of the first codebook is speech where the frames that got it are louder than this on average."""
_FRAME = 1920
_SEGMENT_FRAMES = 100
_SETTLING_FRAMES = 2


def build(out: Path) -> None:
    """Write the checkpoint's six files to the folder `out`. Raises UserError where espeak-ng is missing."""
    torch.set_num_threads(1)  # How many threads share a sum decides how it is rounded.
    log.info("codec in closed form")
    mimi = closed_form_mimi()
    log.info("sound for the codebooks, and its latents")
    frames, loudness = _training_latents(mimi)
    log.info("codebooks from %d frames", len(frames))
    quantizer = train_quantizer(frames, SEED)
    speech_codes = _speech_codes(quantizer.first_codes, loudness)
    log.info("tokenizer and language model")
    tokenizer = train_tokenizer()
    lm = closed_form_lm(speech_codes, word_ids(tokenizer))

    out.mkdir(parents=True, exist_ok=True)
    _write_weights(out / MIMI_FILE, mimi | quantizer.weights, torch.float16)
    _write_weights(out / LM_FILE, lm, torch.bfloat16)
    (out / TOKENIZER_FILE).write_bytes(tokenizer)
    _write_json(out / "config.json", config())
    _write_json(out / MIMI_CONFIG_FILE, mimi_config())
    _write_json(out / FACTS_FILE, facts(speech_codes, word_ids(tokenizer)))
    log.info("wrote %s", out)


def config() -> dict[str, Any]:
    """What config.json holds."""
    return {
        **lm_config(),
        "moshi_name": LM_FILE,
        "mimi_name": MIMI_FILE,
        "mimi_config_name": MIMI_CONFIG_FILE,
        "tokenizer_name": TOKENIZER_FILE,
        "model_type": "moshi",
        "lm_gen_config": {"temp": 0.8, "temp_text": 0.7, "top_k": 250, "top_k_text": 25},
        "model_id": {"sig": "parrot", "epoch": 1},
    }


def facts(speech_codes: Tensor, words: list[int]) -> dict[str, Any]:
    """What parrot.json holds: what tests and tools may expect of the voice."""
    return {
        "delay_frames": DELAY,
        "carriers_hz": CARRIERS_HZ.astype(int).tolist(),
        "silence_codes": [0] * CODEBOOKS,
        "text_ids": dict(zip(WORDS, words, strict=True)),
        "text_leads_by_frames": LEAD,
        "phrase_ends_after_silent_frames": HANGOVER + 1,
        "speech_codes": int(speech_codes.sum()),
    }


def _training_latents(mimi: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Latents [N, 2 * CARRIERS] of the training sound, and each frame's RMS [N]."""
    frames, loudness = [], []
    for segments in _segments(SEED):
        settled = latents(mimi, segments)[:, _SETTLING_FRAMES:]
        frames.append(settled.reshape(-1, 2 * CARRIERS))
        samples = segments.view(len(segments), -1, _FRAME)[:, _SETTLING_FRAMES:]
        loudness.append(samples.square().mean(-1).sqrt().flatten())
    return torch.cat(frames), torch.cat(loudness)


def _segments(seed: int) -> Iterator[Tensor]:
    """The training sound two segments at a time, float32 [2, samples]; what is left over is dropped."""

    def whole(sound: Samples) -> Tensor:
        samples = 2 * _SEGMENT_FRAMES * _FRAME
        return torch.from_numpy(sound[: len(sound) // samples * samples]).view(-1, 2, samples // 2)

    for sound in training_sound(seed):
        yield from whole(sound)


def _speech_codes(first_codes: Tensor, loudness: Tensor) -> Tensor:
    """Which codes of the first codebook are speech, bool [CARD]; silence never is."""
    level = torch.zeros(CARD).index_add_(0, first_codes, loudness.clamp(min=1e-5).log())
    level /= torch.bincount(first_codes, minlength=CARD).clamp(min=1)
    speech = level.exp() > SPEECH_RMS
    speech[0] = False
    return speech


def _write_weights(path: Path, weights: dict[str, Tensor], dtype: torch.dtype) -> None:
    path.write_bytes(save({name: weight.to(dtype) for name, weight in weights.items()}))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        "python -m engine.parrot.build", description="Make the checkpoint `parrot`."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)7.0f ms  %(message)s")
    try:
        build(parser.parse_args().out)
    except UserError as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
