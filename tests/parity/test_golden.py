"""What the reference once answered, kept in files: parity where the reference is not at hand."""

import torch
from safetensors.torch import load_file

from engine.checkpoint.config_file import lm_config, mimi_config
from engine.checkpoint.names import lm_entries, mimi_entries
from engine.checkpoint.weights import allocate, fill
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.step.moshi_step import MoshiStep
from tests.parity.golden.make import FRAMES, HERE, LM_CHANGES, MIMI_CHANGES
from tests.parity.reference import CPU, LM_KWARGS, MIMI_CONFIG, assert_close
from tests.parity.test_step import GREEDY


def test_tokens_and_sound_are_those_that_the_reference_gave() -> None:
    lm = LM(lm_config(LM_KWARGS | LM_CHANGES))
    mimi = Mimi(mimi_config(MIMI_CONFIG | {"transformer": MIMI_CONFIG["transformer"] | MIMI_CHANGES}))
    for name, model, entries in (("lm", lm, lm_entries(lm)), ("mimi", mimi, mimi_entries(mimi))):
        allocate(model, CPU, torch.float32)
        fill(model, entries, HERE / f"{name}.safetensors")
    session = load_file(HERE / "session.safetensors")
    step = MoshiStep(mimi, lm, 3)
    slots = torch.tensor([2])
    step.join(2, GREEDY)
    step.prime(slots)
    answers = [step(slots, frame[None].float() / 32768) for frame in session["pcm"]]
    assert len(answers) == FRAMES > 2 * lm.config.transformer.context
    tokens = torch.cat([torch.cat([a.text[:, None], a.codes, a.user_codes], dim=1) for a in answers])
    assert tokens.tolist() == session["tokens"].tolist()
    assert_close(torch.cat([answer.pcm for answer in answers[-8:]]), session["sound"])
    assert len(set(tokens[:, 1:].flatten().tolist())) > 20


def test_the_golden_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in HERE.glob("*.safetensors")) < 1_000_000
