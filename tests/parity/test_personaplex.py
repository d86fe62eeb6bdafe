"""PersonaPlex's prompts against its own code, token for token in greedy mode: by what it once said, kept in a
file, and by itself where it is at hand (tests/parity/golden/personaplex.py).

Its code runs 16 steps of the depformer and answers each frame one call later; what it says is the same.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.checkpoint import Model, load
from engine.persona.convert import convert
from engine.persona.folder import load_voices
from engine.persona.prompt import Personas
from engine.step.eager_runner import EagerRunner
from engine.step.moshi_step import MoshiStep
from tests.parity.golden.personaplex import FRAMES, TEXT
from tests.parity.personaplex import heard, recording, write_checkpoint
from tests.parity.reference import CPU
from tests.parity.test_step import GREEDY

ROOT = Path(__file__).parents[2]
THEIRS = ROOT / ".personaplex"
GOLDEN = Path(__file__).parent / "golden" / "personaplex.safetensors"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module", params=[8, 16])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """From a file with weights for half of the steps, and for all."""
    folder = tmp_path_factory.mktemp("personaplex")
    write_checkpoint(folder, steps=request.param)
    return load(str(folder), CPU)


def says(model: Model, personas: Personas, voice: str | None) -> list[list[int]]:
    prompt = personas.prompt(voice, "a role")
    assert prompt is not None
    step = MoshiStep(model.mimi, model.lm, 2)
    # In two parts, as a long one is run.
    for positions in (range(13), range(13, prompt.prefix.length)):
        EagerRunner(step, CPU).prefill(1, GREEDY, prompt.prefix, positions)
    with torch.inference_mode():
        frames = [step._language(torch.tensor([1]), torch.from_numpy(codes)[None]) for codes in heard(FRAMES)]
    return torch.cat(frames).tolist()


def personas(model: Model, folder: Path) -> Personas:
    return Personas(model.lm.config, lambda _text: TEXT, load_voices(folder, model.lm.config, model.mimi))


def test_a_small_checkpoint_in_its_layout_has_half_of_its_steps(model: Model) -> None:
    config = model.lm.config
    assert model.personas
    assert (config.own_codebooks, config.heard_codebooks, config.transformer.context) == (8, 8, 99)
    assert sum("linears" in name for name, _ in model.lm.named_parameters()) == 8


def test_after_a_recording_and_a_role_it_says_the_same(
    model: Model, golden: dict[str, Tensor], tmp_path: Path
) -> None:
    import soundfile

    soundfile.write(tmp_path / "ann.wav", recording(), 24_000, subtype="FLOAT")
    told = personas(model, tmp_path)
    assert told._voices["ann"].tokens[1:9].tolist() == golden["codes"].tolist()
    answers = says(model, told, "ann")
    assert answers == golden["spoken"].tolist()
    assert len({tuple(answer) for answer in answers}) > FRAMES / 2


def test_after_a_converted_voice_and_a_role_it_says_the_same(
    model: Model, golden: dict[str, Tensor], tmp_path: Path
) -> None:
    held = {"embeddings": golden["embeddings"], "cache": golden["cache"]}
    torch.save(held, tmp_path / "NATF2.pt")
    assert list(convert([tmp_path / "NATF2.pt"], tmp_path / "voices")) == [
        tmp_path / "voices" / "NATF2.safetensors"
    ]
    answers = says(model, personas(model, tmp_path / "voices"), "NATF2")
    assert answers == golden["replayed"].tolist() == golden["spoken"].tolist()


def test_after_a_role_alone_it_says_the_same(model: Model, golden: dict[str, Tensor], tmp_path: Path) -> None:
    answers = says(model, personas(model, tmp_path), None)
    assert answers == golden["role"].tolist() != golden["spoken"].tolist()


@pytest.mark.skipif(not THEIRS.is_dir(), reason=f"no {THEIRS.name}/: see tests/parity/golden/personaplex.py")
def test_the_golden_tokens_are_what_its_own_code_says_today(
    golden: dict[str, Tensor], tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.parity.golden.personaplex",
        str(THEIRS),
        str(tmp_path / "now.safetensors"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    now = load_file(tmp_path / "now.safetensors")
    for name in ("codes", "role", "spoken", "replayed"):
        assert now[name].tolist() == golden[name].tolist()
