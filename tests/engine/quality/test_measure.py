from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoint import load
from engine.errors import CheckpointError, SettingError
from engine.memory import Room
from engine.quality.measure import Agreement, measure_quality
from engine.quality.spectrum import spectral_distance_db
from engine.quality.stream import listen, teacher_forced
from engine.step.capacity import Variant
from tests.engine.checkpoint.test_lora import adapter

CPU = torch.device("cpu")
FRAMES = np.random.default_rng(0).normal(0, 2000, (6, 1920)).astype(np.int16)


def tone(level: float) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)


def test_exact_float32_agrees_with_itself_in_all_that_is_measured() -> None:
    found = measure_quality(Variant("random:tiny", torch.float32), CPU, FRAMES)
    for agreement in (found.text, found.codes):
        assert agreement.cosine_min == pytest.approx(1, abs=1e-6)
        assert (agreement.max_error, agreement.greedy) == (0, 1)
    assert (found.same_text, found.same_codes, found.spectral_distance_db) == (1, 1, 0)
    assert found.steps == 1 + len(FRAMES)


@pytest.mark.parametrize(
    "variant",
    [
        Variant("random:tiny", torch.bfloat16),
        Variant("random:tiny", torch.float32, weights="int8"),
        Variant("random:tiny", torch.float32, kv="int8"),
    ],
    ids=["bfloat16", "int8 weights", "int8 keys and values"],
)
def test_a_coarser_precision_shows_in_the_logits_and_stays_near(variant: Variant) -> None:
    found = measure_quality(variant, CPU, FRAMES)
    assert 0 < found.text.max_error < 0.5
    assert 0.98 < found.text.cosine_min <= found.text.cosine_mean < 1 + 1e-6
    assert 0 < found.codes.max_error < 0.5


def test_an_adapter_is_fused_into_both_that_are_compared(tmp_path: Path) -> None:
    lora = str(adapter(tmp_path / "mine"))
    found = measure_quality(Variant("parrot", torch.float32, lora=lora), CPU, FRAMES)
    assert found.checkpoint == "parrot+mine"
    assert (found.text.max_error, found.same_codes) == (0, 1)


def test_a_model_that_says_nothing_has_no_quality_to_measure() -> None:
    with pytest.raises(CheckpointError, match="random:tiny-stt only listens"):
        measure_quality(Variant("random:tiny-stt", torch.float32), CPU, FRAMES)


def test_what_memory_cannot_hold_in_float32_is_refused_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variant = Variant("random:tiny", torch.bfloat16, weights="int8", kv="int8")
    monkeypatch.setattr(Room, "on", lambda _: Room(free=variant.sizes().weights * 3 // 2, beside=0))
    monkeypatch.setattr("engine.memory.load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(SettingError, match="not enough memory for random:tiny: weights"):
        measure_quality(variant, CPU, FRAMES)


def test_forced_on_its_own_stream_a_model_would_have_said_what_it_said() -> None:
    model = load("random:tiny", CPU)
    stream = listen(model, FRAMES)
    logits = teacher_forced(model, stream, "exact")
    assert logits.text.argmax(dim=-1).equal(stream.text)
    assert logits.codes.argmax(dim=-1).equal(stream.codes)
    assert len({tuple(codes) for codes in stream.codes.tolist()}) > 1


def test_agreement_is_of_each_position() -> None:
    exact = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    other = torch.tensor([[0.0, 1.0, 0.0], [0.0, 2.5, 0.0]])
    found = Agreement.of(other, exact)
    assert (found.cosine_mean, found.cosine_min) == pytest.approx((0.5, 0))
    assert (found.max_error, found.greedy) == (1, 0.5)


def test_the_distance_of_two_sounds_is_that_of_their_spectra_in_decibels() -> None:
    assert spectral_distance_db(tone(8000), tone(8000)) == 0
    quieter = spectral_distance_db(tone(16_000), tone(8000))
    assert 0 < quieter < 6.1
    assert spectral_distance_db(tone(8000), np.zeros(24_000, np.int16)) > quieter
