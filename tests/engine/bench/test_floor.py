from dataclasses import replace

import pytest
import torch

from engine.bench.floor import codec_bytes_read, lm_bytes_read, step_bytes
from engine.checkpoint import outline
from engine.checkpoint.random_weights import tiny_lm
from engine.models.config import LMConfig
from engine.models.embedding import Embedding, StackedEmbeddings
from engine.models.lm import LM

EXACT = torch.bfloat16


def empty(config: LMConfig) -> LM:
    with torch.device("meta"):
        return LM(config)


def test_a_step_of_moshi_reads_what_its_shapes_say() -> None:
    mimi, lm = outline("random:moshi-7b", EXACT)
    assert sum(lm_bytes_read(lm)) == pytest.approx(14.75e9, rel=1e-3)
    assert codec_bytes_read(mimi, 8) == pytest.approx(0.334e9, rel=1e-2)
    full = step_bytes(mimi, lm, "exact", 1, 3000)
    half = step_bytes(mimi, lm, "exact", 1, 1500)
    assert full - half == 2 * 32 * 1500 * 4096 * 2
    assert step_bytes(mimi, lm, "exact", 5, 3000) - full == pytest.approx(4 * (1.5729e9 + 16.5e6), rel=1e-3)


def test_eight_bits_are_half_of_sixteen_and_their_scales() -> None:
    mimi, lm = outline("random:moshi-7b", EXACT, "int8")
    assert sum(lm_bytes_read(lm)) == pytest.approx(14.75e9 / 2, rel=2e-3)
    per_session = step_bytes(mimi, lm, "int8", 2, 3000) - step_bytes(mimi, lm, "int8", 1, 3000)
    assert per_session == pytest.approx(1.5729e9 / 2 * (1 + 1 / 64) + 16.5e6, rel=1e-3)


def test_what_belongs_to_codebooks_that_are_not_said_is_not_read() -> None:
    half = empty(tiny_lm().running(4))
    tables = sum(
        part.weight.nbytes for part in half.modules() if isinstance(part, Embedding | StackedEmbeddings)
    )
    unread = sum(p.nbytes for p in half.parameters()) - tables - sum(lm_bytes_read(half))
    attention, feedforward, head = 4 * 32 * 32, 3 * 32 * 88, 32 * 64
    assert unread == 4 * 4 * (2 * (attention + feedforward) + head)


def test_a_model_that_only_listens_reads_half_of_the_codec_and_the_heads_that_see_pauses() -> None:
    mimi, lm = outline("random:stt-1b", EXACT)
    one, two = (step_bytes(mimi, lm, "exact", sessions, 750) for sessions in (1, 2))
    ears = mimi.new_ears(1)
    kept = sum(tensor.nbytes for tensor in (*ears.tensors(), *lm.new_state(1).tensors()))
    assert two - one == pytest.approx(kept, rel=1e-3)
    tables = sum(
        part.weight.nbytes for part in lm.modules() if isinstance(part, Embedding | StackedEmbeddings)
    )
    assert sum(lm_bytes_read(lm)) == sum(p.nbytes for p in lm.parameters()) - tables
    both, half = codec_bytes_read(mimi, 32), codec_bytes_read(mimi, 32, speaks=False)
    assert 0.45 * both < half < 0.75 * both
    assert codec_bytes_read(mimi, 0) + half == both


def test_tables_of_which_a_step_looks_up_a_few_rows_do_not_count() -> None:
    few, many = (empty(replace(tiny_lm(), text_card=entries)) for entries in (64, 5000))
    assert sum(lm_bytes_read(few)) == sum(lm_bytes_read(many))
