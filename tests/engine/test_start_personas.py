from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import Model, load
from engine.errors import SettingError
from engine.settings import EngineSettings
from engine.start import start
from engine.start_personas import personas
from engine.step.measure import PromptPart


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny-personaplex", torch.device("cpu"))


def told(model: Model, **options: Any) -> Any:
    return personas(EngineSettings.load(**options), model)


def test_a_model_of_this_kind_takes_a_role_without_any_setting(model: Model) -> None:
    assert told(model).voices == ()
    assert told(model).prompt(None, "be kind").key == (None, "be kind")


def test_a_model_of_another_kind_takes_neither(model: Model, tmp_path: Path) -> None:
    moshi = replace(model, personas=False)
    assert told(moshi) is None
    for options in ({"voices": tmp_path}, {"voice": "ann"}, {"prompt": "be kind"}):
        with pytest.raises(SettingError, match="is for models that take a voice and a role"):
            told(moshi, **options)


def test_what_the_operator_chooses_has_to_be_there(model: Model) -> None:
    with pytest.raises(SettingError, match="no voice is called 'ann'"):
        told(model, voice="ann")
    with pytest.raises(SettingError, match="fit"):
        told(model, prompt="word " * 100)


def test_fewer_seats_are_offered_where_parts_of_prompts_come_between_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.start.step_p99_s", lambda _, sessions: (10 + 5 * sessions) / 1000)
    monkeypatch.setattr("engine.start.prompt_part", lambda *_: PromptPart(64, 0.020))

    def seats(checkpoint: str) -> int:
        return start(EngineSettings.load(checkpoint=checkpoint, device="cpu", slots=9)).seats

    # 10 + 5 n, and 15 for one, and 10 to spare, are up to 80, or to 60 with 20 of a prompt.
    assert (seats("random:tiny"), seats("random:tiny-personaplex")) == (9, 5)


def test_how_much_of_a_prompt_is_run_at_once_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"checkpoint": "random:tiny-personaplex", "device": "cpu", "slots": 1}
    started = start(EngineSettings.load(**options, allow_slower_than_real_time=True))
    assert 16 <= started.times.prompt.positions <= 256
    assert started.times.prompt.longest_s > 0
    monkeypatch.setattr("engine.start.step_p99_s", lambda *_: 0.020)
    monkeypatch.setattr("engine.start.prompt_part", lambda *_: PromptPart(16, 0.050))
    with pytest.raises(SettingError, match=r"20\.0 ms .*, and twice that, 50\.0 ms of a prompt and 10 ms"):
        start(EngineSettings.load(**options))
