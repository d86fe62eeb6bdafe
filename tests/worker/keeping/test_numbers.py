import pytest

from worker.keeping.numbers import redact


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Call 555-1234 now.", "Call [number] now."),
        ("It is +1 (555) 123-4567.", "It is [number]."),
        ("My card is 4111 1111 1111 1111, yes.", "My card is [number], yes."),
        ("Dial five five five, one two.", "Dial [number]."),
        ("That is twenty-three oh seven.", "That is [number]."),
        ("In 42 days, one or two of us.", "In 42 days, one or two of us."),
        ("Someone, often.", "Someone, often."),
    ],
)
def test_numbers_that_may_say_who_somebody_is_are_left_out(said: str, kept: str) -> None:
    assert redact(said) == kept
