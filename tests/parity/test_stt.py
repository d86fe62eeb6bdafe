"""Speech to text against the reference as its `run_inference` feeds it: token for token, pause for pause."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint import load
from engine.models.config import SttConfig
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.parrot import CHECKPOINT
from engine.step.frames import Sampling
from engine.step.stt_step import SttStep
from tests.parity.reference import (
    CPU,
    LM_KWARGS,
    MIMI_CONFIG,
    assert_close,
    our_lm,
    our_mimi,
    reference_lm,
    reference_mimi,
    sound,
)
from tests.parity.test_variants import STT

FRAMES = 45  # The language model's context is 20 frames, Mimi's 5.
CODEBOOKS = 16
GREEDY = Sampling(temperature=0.0, temperature_text=0.0)
# What stands in the config.json of stt-2.6b-en beside the shapes.
PUBLISHED: dict[str, Any] = {
    "depformer_dim_feedforward": None, "depformer_multi_linear": True, "depformer_pos_emb": "none",
    "depformer_weights_per_step": True, "conditioners": {}, "cross_attention": False,
    "model_id": {"sig": "dabcc802", "epoch": 50},
    "lm_gen_config": {"temp": 0.0, "temp_text": 0.0, "top_k": 250, "top_k_text": 50},
    "stt_config": {"audio_delay_seconds": 2.5, "audio_silence_prefix_seconds": 1.0},
    "model_type": "stt", "mimi_name": "mimi-pytorch-e351c8d8@125.safetensors",
    "tokenizer_name": "tokenizer_en_audio_4000.model",
}  # fmt: skip
OF_LOADERS = ("conditioners", "fuser")


class Said(NamedTuple):
    text: int
    heard: list[int]
    pauses: Tensor


class Models(NamedTuple):
    reference_lm: Any
    reference_mimi: Any
    lm: LM
    mimi: Mimi

    @torch.no_grad()
    def alone(self, frames: Iterable[Tensor]) -> list[Said]:
        """What the reference writes of one speaker's frames, the first of them given twice."""
        from moshi.models import LMGen

        generator = LMGen(self.reference_lm, use_sampling=False, check=True)
        said: list[Said] = []
        first = True
        with generator.streaming(1), self.reference_mimi.streaming(1):
            for frame in frames:
                codes = self.reference_mimi.encode(frame[None, None])
                if first:
                    generator.step(codes)
                    first = False
                out, heads = generator.step_with_extra_heads(codes)
                assert out.shape == (1, 1, 1)
                pauses = torch.stack([head[0, 0, 0] for head in heads]) if heads else torch.zeros(0)
                said.append(Said(int(out), codes[0, :, 0].tolist(), pauses))
        return said


def models(folder: Path, **changes: Any) -> Models:
    reference = {k: v for k, v in (STT | changes).items() if k not in OF_LOADERS}
    lm, mimi = reference_lm(seed=4, **reference), reference_mimi(CODEBOOKS, seed=1)
    ours = our_lm(lm.state_dict(), folder, **(STT | changes)), our_mimi(mimi.state_dict(), folder)
    return Models(lm, mimi, *ours)


def run(step: SttStep, slots: Sequence[int], frames: Tensor) -> list[Said]:
    """One step for `slots`; frames: [B, 1920]."""
    out = step(torch.tensor(slots), frames)
    return [Said(*row) for row in zip(out.text.tolist(), out.heard.tolist(), out.pauses, strict=True)]


def join(step: SttStep, slot: int) -> None:
    step.join(slot, GREEDY)
    step.prime(torch.tensor([slot]))


def assert_same(ours: list[Said], expected: list[Said]) -> None:
    assert [said[:2] for said in ours] == [said[:2] for said in expected]
    assert_close(torch.stack([s.pauses for s in ours]), torch.stack([s.pauses for s in expected]))


def test_texts_and_pauses_are_those_of_the_reference(tmp_path: Path) -> None:
    both = models(tmp_path)
    frames = sound(3, FRAMES)
    step = SttStep(both.mimi, both.lm, 3)
    for slot in range(3):
        join(step, slot)
    said = [run(step, [0, 1, 2], frame) for frame in frames]
    for slot in range(3):
        expected = both.alone(frames[:, slot])
        assert_same([row[slot] for row in said], expected)
        assert len({one.text for one in expected}) > 5
        assert torch.stack([one.pauses for one in expected]).shape == (FRAMES, 4)


def test_speakers_who_come_go_and_stall_are_as_alone(tmp_path: Path) -> None:
    both = models(tmp_path)
    frames = sound(4, 50, seed=1)
    begins = {0: [0], 2: [4, 33], 3: [11]}
    generator = torch.Generator().manual_seed(2)
    step = SttStep(both.mimi, both.lm, 4)
    began: dict[int, int] = {}
    histories: dict[tuple[int, int], list[tuple[Tensor, Said]]] = {}
    for t, frame in enumerate(frames):
        for slot, times in begins.items():
            if t in times:
                join(step, slot)
                began[slot] = t
        due = [slot for slot in began if torch.rand((), generator=generator) > 0.3]
        if due:
            for slot, said in zip(due, run(step, due, frame[due]), strict=True):
                histories.setdefault((slot, began[slot]), []).append((frame[slot], said))
    assert len(histories) == 4
    for history in histories.values():
        assert_same([said for _, said in history], both.alone([frame for frame, _ in history]))


def test_a_model_without_heads_tells_no_pauses_and_writes_the_same(tmp_path: Path) -> None:
    both = models(tmp_path, extra_heads_num_heads=0)
    frames = sound(1, 10, seed=3)
    step = SttStep(both.mimi, both.lm, 1)
    join(step, 0)
    said = [run(step, [0], frame)[0] for frame in frames]
    assert [one[:2] for one in said] == [one[:2] for one in both.alone(frames[:, 0])]
    assert said[0].pauses.shape == (0,)


def test_a_checkpoint_loads_as_it_is_published(tmp_path: Path) -> None:
    """Shapes, random weights and a tokenizer of ours apart."""
    both = models(tmp_path)
    for name, weights in (
        ("model.safetensors", both.reference_lm.state_dict()),
        (PUBLISHED["mimi_name"], both.reference_mimi.state_dict()),
    ):
        save_file({key: value.contiguous().clone() for key, value in weights.items()}, tmp_path / name)
    shutil.copy(next(CHECKPOINT.glob("*.model")), tmp_path / PUBLISHED["tokenizer_name"])
    config = LM_KWARGS | STT | PUBLISHED | {"mimi_config": MIMI_CONFIG}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = load(str(tmp_path), CPU)
    assert model.stt == SttConfig(delay_s=2.5, prefix_s=1.0)
    assert (model.sampling.temperature_text, model.sampling.top_k_text) == (0.0, 50)
    step = SttStep(model.mimi, model.lm, 1)
    join(step, 0)
    frames = sound(1, 10, seed=5)
    assert_same([run(step, [0], frame)[0] for frame in frames], both.alone(frames[:, 0]))
