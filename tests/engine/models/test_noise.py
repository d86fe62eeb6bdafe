import math

import numpy as np
import torch

from engine.models.noise import gumbel_noise

WORD = 2**32 - 1


def pcg4d(x: int, y: int, z: int, w: int) -> int:
    """The hash of the paper on Python's integers, its first word."""
    x, y, z, w = (v * 1664525 + 1013904223 & WORD for v in (x, y, z, w))
    x = x + y * w & WORD
    y = y + z * x & WORD
    z = z + x * y & WORD
    w = w + y * z & WORD
    x, y, z, w = (v ^ v >> 16 for v in (x, y, z, w))
    return x + y * w & WORD


def test_a_draw_is_a_function_of_seed_frame_channel_and_token() -> None:
    seeds = torch.tensor([0, 7, 2**32 - 1])
    frames = torch.tensor([0, 12345, 2**31 - 1])
    noise = gumbel_noise(seeds, frames, range(3, 5), 6)
    for row, (seed, frame) in enumerate(zip(seeds.tolist(), frames.tolist(), strict=True)):
        for channel in (3, 4):
            for token in range(6):
                uniform = ((pcg4d(seed, frame, channel, token) >> 9) + 0.5) / 2**23
                expected = -math.log(-math.log(uniform))
                assert math.isclose(noise[row, channel - 3, token], expected, rel_tol=1e-4, abs_tol=1e-5)


def test_a_row_draws_the_same_in_any_company() -> None:
    seeds, frames = torch.arange(20) * 99991, torch.arange(20) + 5
    whole = gumbel_noise(seeds, frames, range(9), 50)
    rows = torch.tensor([13, 2, 19])
    assert torch.equal(gumbel_noise(seeds[rows], frames[rows], range(9), 50), whole[rows])
    assert torch.equal(gumbel_noise(seeds[rows], frames[rows], range(4, 6), 50), whole[rows, 4:6])


def test_draws_are_gumbel_along_every_axis() -> None:
    count = 4000
    still = torch.full((count,), 3)
    axes = {
        "seed": gumbel_noise(torch.arange(count), still, range(1, 2), 1),
        "frame": gumbel_noise(still, torch.arange(count), range(1, 2), 1),
        "channel": gumbel_noise(still[:1], still[:1], range(count), 1),
        "token": gumbel_noise(still[:1], still[:1], range(1, 2), count),
    }
    for axis, noise in axes.items():
        draws = noise.flatten().double().numpy()
        assert np.isfinite(draws).all()
        # Kolmogorov-Smirnov, one in a thousand.
        expected = np.exp(-np.exp(-np.sort(draws)))
        distance = np.abs(expected - (np.arange(count) + 0.5) / count).max()
        assert distance < 1.95 / math.sqrt(count), axis
        assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.06, axis
