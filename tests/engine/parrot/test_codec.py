"""What the committed codec does to tones and noise, all at once in a slot each."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from engine.checkpoint import Model
from engine.parrot import CHECKPOINT
from engine.parrot.build import MIMI_FILE
from engine.parrot.measure import AMPLITUDES, FRAME, TONES_HZ
from engine.parrot.vocoder import latents

Floats = NDArray[np.float32]


def through_the_codec(parrot: Model, sounds: Floats) -> Floats:
    """Every row of `sounds`, whole frames long, in a slot of its own, frame by frame."""
    slots = torch.arange(len(sounds))
    state = parrot.mimi.new_state(len(sounds))
    state.reset(slots)
    frames = torch.from_numpy(sounds).reshape(len(sounds), -1, FRAME)
    with torch.inference_mode():
        out = [
            parrot.mimi.decode(parrot.mimi.encode(frames[:, number], state, slots, 8), state, slots)
            for number in range(frames.shape[1])
        ]
    pcm: Floats = torch.cat(out, 1).numpy()
    return pcm


def tone(frequency: float, amplitude: float, frames: int) -> Floats:
    t = np.arange(frames * FRAME) / 24_000
    return (amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def test_tones_keep_their_pitch_and_level_at_three_levels(parrot: Model) -> None:
    expected = [(frequency, amplitude) for amplitude in AMPLITUDES for frequency in TONES_HZ]
    sounds = np.stack([tone(frequency, amplitude, frames=14) for frequency, amplitude in expected])
    out = through_the_codec(parrot, sounds)[:, 4 * FRAME :]
    power = np.abs(np.fft.rfft(out * np.hanning(out.shape[1]))) ** 2
    hertz = np.fft.rfftfreq(out.shape[1], 1 / 24_000)
    for (frequency, amplitude), spectrum, pcm in zip(expected, power, out, strict=True):
        about = f"{frequency} Hz at {amplitude}"
        assert abs(hertz[spectrum.argmax()] / frequency - 1) < 0.03, about
        assert spectrum[np.abs(hertz / frequency - 1) < 0.06].sum() > 0.8 * spectrum.sum(), about
        assert abs(20 * np.log10(pcm.std() * np.sqrt(2) / amplitude)) < 8, about


@pytest.mark.parametrize(("dbfs", "survives"), [(-60, False), (-38, True)])
def test_faint_noise_is_silence_and_louder_noise_is_not(parrot: Model, dbfs: int, survives: bool) -> None:
    noise = np.random.default_rng(0).standard_normal((1, 12 * FRAME)).astype(np.float32) * 10 ** (dbfs / 20)
    out_dbfs = 20 * np.log10(through_the_codec(parrot, noise.astype(np.float32)).std() + 1e-9)
    assert (out_dbfs > -45) == survives
    assert survives or out_dbfs < -100


def test_the_build_learns_from_the_latents_that_the_engine_computes(parrot: Model) -> None:
    """The build's encoder leaves out what is zero; the engine's does not."""
    pcm = torch.from_numpy(np.stack([tone(300, 0.3, frames=6), tone(2000, 0.02, frames=6)]))
    slots = torch.arange(2)
    state = parrot.mimi.new_state(2)
    state.reset(slots)
    with torch.inference_mode():
        engine = [
            parrot.mimi.latent(pcm[:, number * FRAME : (number + 1) * FRAME], state, slots)
            for number in range(6)
        ]
    weights = {name: weight.float() for name, weight in load_file(CHECKPOINT / MIMI_FILE).items()}
    ours = latents(weights, pcm)
    assert ours.max() > 3
    torch.testing.assert_close(torch.stack(engine, 1)[..., : ours.shape[-1]], ours, rtol=0, atol=2e-3)
