import pytest

from engine.bench.options import parse_contexts, parse_sessions, positions
from engine.errors import SettingError


def test_lists_are_read_in_their_order() -> None:
    assert parse_sessions("32,1,8") == (32, 1, 8)
    assert parse_contexts("full, 20,empty") == ("full", 20, "empty")


@pytest.mark.parametrize("text", ["", "0", "1,two", "1,,2", "-1"])
def test_what_is_no_list_of_sessions_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="--sessions"):
        parse_sessions(text)


@pytest.mark.parametrize("text", ["", "half", "20,-1", "1.5"])
def test_what_is_no_list_of_contexts_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="--context"):
        parse_contexts(text)


def test_a_context_is_a_number_of_frames_that_the_model_sees() -> None:
    assert [positions(context, 100) for context in ("empty", 20, "full")] == [0, 20, 100]
    with pytest.raises(SettingError, match="this model sees 100 frames"):
        positions(101, 100)
