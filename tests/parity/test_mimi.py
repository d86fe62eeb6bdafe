"""Mimi against the reference, fp32, on random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.mimi import Mimi, MimiState
from tests.parity.reference import assert_close, our_mimi, reference_mimi, sound

FRAMES = 24  # 48 positions at 25 Hz: the ring of 10 wraps nearly five times.

Pair = tuple[Any, Mimi]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    reference = reference_mimi()
    return reference, our_mimi(reference.state_dict(), tmp_path)


def ready(mimi: Mimi, slots: int) -> MimiState:
    state = mimi.new_state(slots)
    state.reset(torch.arange(slots))
    return state


@torch.no_grad()
def test_each_part_of_the_encoder_agrees_while_streaming(pair: Pair) -> None:
    reference, mimi = pair
    state, slots = ready(mimi, 3), torch.arange(3)
    with reference.streaming(3):
        for frame in sound(3, FRAMES):
            expected = reference.encoder(frame[:, None])
            x = mimi.encoder(frame[:, :, None], state.encoder.seanet, slots)
            assert_close(x.mT, expected)
            (expected,) = reference.encoder_transformer(expected)
            x = mimi.encoder_transformer(x, state.encoder.transformer, slots)
            assert_close(x.mT, expected)
            expected = reference._to_framerate(expected)
            x = mimi.downsample(x, state.encoder.downsample, slots)
            assert_close(x.mT, expected)


@torch.no_grad()
def test_each_part_of_the_decoder_agrees_while_streaming(pair: Pair) -> None:
    reference, mimi = pair
    state, slots = ready(mimi, 3), torch.arange(3)
    generator = torch.Generator().manual_seed(1)
    with reference.streaming(3):
        for _ in range(FRAMES):
            codes = torch.randint(0, 32, (3, 8), generator=generator)
            expected = reference.decode_latent(codes[:, :, None])
            x = mimi.quantizer.decode(codes)[:, None]
            assert_close(x.mT, expected)
            expected = reference._to_encoder_framerate(expected)
            x = mimi.upsample(x, state.decoder.upsample, slots)
            assert_close(x.mT, expected)
            (expected,) = reference.decoder_transformer(expected)
            x = mimi.decoder_transformer(x, state.decoder.transformer, slots)
            assert_close(x.mT, expected)
            expected = reference.decoder(expected)
            x = mimi.decoder(x, state.decoder.seanet, slots)
            assert_close(x.mT, expected)


@pytest.mark.parametrize("codebooks", [1, 2, 8, 31, 32])
@torch.no_grad()
def test_codes_and_sound_agree_for_any_number_of_codebooks(pair: Pair, codebooks: int) -> None:
    reference, mimi = pair
    reference.set_num_codebooks(codebooks)
    state, slots = ready(mimi, 2), torch.arange(2)
    seen: list[Tensor] = []
    with reference.streaming(2):
        for frame in sound(2, FRAMES, seed=2):
            expected = reference.encode(frame[:, None])
            codes = mimi.encode(frame, state, slots, codebooks)
            assert codes.tolist() == expected[:, :, 0].tolist()
            pcm = mimi.decode(codes, state, slots)
            assert_close(pcm, reference.decode(expected)[:, 0])
            seen.append(codes)
    assert len(set(torch.stack(seen)[:, :, 0].flatten().tolist())) > 4


@torch.no_grad()
def test_sessions_that_come_go_and_stall_are_as_alone(pair: Pair) -> None:
    reference, mimi = pair
    state = mimi.new_state(4)
    frames = sound(4, 40, seed=3)
    generator = torch.Generator().manual_seed(4)
    begins = {0: [0], 1: [3, 20], 2: [7], 3: [9, 31]}
    heard: dict[tuple[int, int], list[tuple[Tensor, Tensor, Tensor]]] = {}
    session = dict.fromkeys(range(4), -1)
    for t, frame in enumerate(frames):
        for slot, times in begins.items():
            if t in times:
                state.reset(torch.tensor([slot]))
                session[slot] = t
        due = [s for s in range(4) if session[s] >= 0 and torch.rand((), generator=generator) > 0.25]
        due = [due[i] for i in torch.randperm(len(due), generator=generator).tolist()]
        if not due:
            continue
        slots = torch.tensor(due)
        codes = mimi.encode(frame[slots], state, slots, 8)
        pcm = mimi.decode(codes, state, slots)
        for row, slot in enumerate(due):
            heard.setdefault((slot, session[slot]), []).append((frame[slot], codes[row], pcm[row]))
    assert len(heard) == 6
    for steps in heard.values():
        with reference.streaming(1):
            for frame, codes, pcm in steps:
                expected = reference.encode(frame[None, None])
                assert codes.tolist() == expected[0, :, 0].tolist()
                assert_close(pcm, reference.decode(expected)[0, 0])
