import numpy as np
import pytest

from engine.checkpoint.random_weights import tiny_lm, tiny_personaplex
from engine.errors import CheckpointError, SessionError
from engine.persona.prompt import SILENCE, Personas, tagged
from engine.persona.voice import SINE, Voice

CONFIG = tiny_personaplex()  # It remembers 200 frames.
CODES = np.arange(8)[:, None] * 100 + np.arange(9)
ANN = Voice.saying(CODES, CONFIG)


def encode(text: str) -> list[int]:
    return [10 + len(word) for word in text.split()]


def personas(**usual: str) -> Personas:
    return Personas(CONFIG, encode, {"ann": ANN, "bob": ANN}, **usual)


def test_the_voice_comes_before_silence_before_the_role_before_silence() -> None:
    prompt = personas().prompt("ann", "You are kind.")
    assert prompt is not None
    tokens = prompt.prefix.tokens
    text, said, heard = tokens[0], tokens[1:9], tokens[9:]
    assert text.tolist() == [3] * 9 + [3] * 6 + [18, 13, 13, 15, 18] + [3] * 6
    assert said[:, :9].tolist() == CODES.tolist()
    assert {tuple(frame) for frame in said[:, 9:].T.tolist()} == {SILENCE}
    assert {tuple(frame) for frame in heard.T.tolist()} == {SINE}


def test_either_may_be_left_out_and_both() -> None:
    voice, role = personas().prompt("ann", None), personas().prompt(None, "a b c")
    assert voice is not None
    assert role is not None
    assert voice.prefix.length == 9 + 12
    assert role.prefix.length == 5 + 12
    assert personas().prompt(None, "  ") is None
    assert personas().prompt("", "") is None


def test_who_asks_for_nothing_gets_what_the_operator_has_chosen() -> None:
    told = personas(voice="bob", role="a clerk")
    usual, own = told.prompt(None, None), told.prompt("ann", None)
    assert usual is not None
    assert own is not None
    assert (usual.key, own.key) == (("bob", "a clerk"), ("ann", "a clerk"))


def test_an_unknown_voice_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SessionError, match=r"no voice is called '../etc/passwd'; this engine has ann, bob"):
        personas().prompt("../etc/passwd", None)
    with pytest.raises(SessionError, match="has none: ENGINE_VOICES"):
        Personas(CONFIG, encode, {}).prompt("ann", None)
    with pytest.raises(SessionError, match="'eve'"):
        personas(voice="eve")


def test_a_prompt_may_fill_half_of_what_the_model_remembers() -> None:
    fits = " ".join(["word"] * (100 - 12 - 9 - 2))
    prompt = personas().prompt("ann", fits)
    assert prompt is not None
    assert prompt.prefix.length == 100
    with pytest.raises(SessionError, match="has 80 tokens, and 79 fit beside the voice ann"):
        personas().prompt("ann", fits + " more")


@pytest.mark.parametrize("role", ["be kind", "<system> be kind <system>", "  <system> be kind <system> "])
def test_a_role_has_its_tags_once(role: str) -> None:
    assert tagged(role) == "<system> be kind <system>"


def test_a_model_of_another_shape_is_not_of_this_kind() -> None:
    with pytest.raises(CheckpointError, match="has 64 codes"):
        Personas(tiny_lm(), encode, {})
    with pytest.raises(CheckpointError, match="says 4, hears 12"):
        Personas(CONFIG.running(4), encode, {})
