from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import Model, load
from engine.errors import SettingError
from engine.settings import EngineSettings
from engine.start_personas import personas


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
