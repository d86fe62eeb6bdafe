"""Words and pads: when a word may begin, what the model is shown with it, and when there is text enough."""

from collections.abc import Iterable

from engine.step.tts_machine import NEW_WORD, PAD, TtsMachine, Word

ENTRIES = 100
NONE = -1


def machine_of(words: Iterable[Word], ahead: int = 0, *, complete: bool = True) -> TtsMachine:
    machine = TtsMachine(ENTRIES, ahead)
    for word in words:
        machine.add(word)
    if complete:
        machine.complete()
    return machine


def run(machine: TtsMachine, predicted: Iterable[int]) -> list[int]:
    return [machine.step(token)[0] for token in predicted]


def apart(fed: Iterable[int]) -> list[tuple[int, int]]:
    """Own token and that of the second stream, which may be none."""
    return [(token % ENTRIES, token // ENTRIES - 1) for token in fed]


def test_a_word_begins_when_the_model_says_so_and_is_fed_token_by_token() -> None:
    machine = machine_of([Word("one", (11, 12), 0), Word("two", (21,), 0)])
    fed = run(machine, [NEW_WORD, PAD, PAD, NEW_WORD, NEW_WORD, PAD, PAD, PAD, NEW_WORD, PAD])
    # Nothing begins in the first two steps, nor while tokens of a word are left.
    assert fed == [PAD, PAD, NEW_WORD, 11, 12, PAD, PAD, PAD, NEW_WORD, 21]


def test_other_tokens_than_the_two_are_pads() -> None:
    machine = machine_of([Word("one", (11,), 0)])
    assert run(machine, [1, 2, 7]) == [PAD, PAD, NEW_WORD]


def test_no_more_than_eight_pads_come_between_words() -> None:
    machine = machine_of([Word("one", (11,), 0), Word("two", (21,), 0)])
    fed = run(machine, [PAD] * 13)
    # The token of a word counts as one of them.
    assert fed == [PAD, PAD, NEW_WORD, 11, *[PAD] * 7, NEW_WORD, 21]


def test_a_word_keeps_the_next_one_away_for_its_padding() -> None:
    machine = machine_of([Word("one", (11,), 3), Word("two", (21,), 0)])
    assert run(machine, [NEW_WORD] * 8) == [PAD, PAD, NEW_WORD, 11, PAD, PAD, NEW_WORD, 21]


def test_a_pause_is_pads_whatever_the_model_wants() -> None:
    machine = machine_of([Word("one", (11,), 0), Word("", (), 4), Word("two", (21,), 0)])
    assert run(machine, [NEW_WORD] * 9) == [PAD, PAD, NEW_WORD, 11, *[PAD] * 4, NEW_WORD]


def test_a_second_stream_shows_the_word_two_further_and_when_one_begins() -> None:
    words = [Word(str(n), (n, n + 1), 0) for n in (10, 20, 30, 40)]
    machine = machine_of([words[0], Word("", (), 1), *words[1:]], ahead=2)
    fed = apart(run(machine, [PAD, PAD, NEW_WORD, PAD, PAD, PAD, NEW_WORD, NEW_WORD, PAD, PAD]))
    assert fed == [
        (PAD, NONE),
        (PAD, NONE),
        (10, NEW_WORD),
        (11, 30),
        (PAD, 31),
        (PAD, NONE),
        (PAD, NONE),  # The pause.
        (20, NEW_WORD),
        (21, 40),
        (PAD, 41),
    ]


def test_the_end_is_when_a_word_should_begin_and_none_is_left() -> None:
    machine = machine_of([Word("one", (11,), 0)], ahead=2)
    fed = apart(run(machine, [NEW_WORD] * 7))
    assert fed == [(PAD, NONE)] * 2 + [(11, NEW_WORD), (PAD, NEW_WORD)] + [(PAD, NONE)] * 3
    assert (machine.ended_at, machine.steps) == (3, 7)


def test_no_text_at_all_ends_where_the_first_word_would_begin() -> None:
    machine = machine_of([])
    run(machine, [PAD] * 3)
    assert machine.ended_at == 2


def test_words_tell_when_they_begin() -> None:
    machine = machine_of([Word("one", (11,), 0), Word("", (), 2), Word("two", (21,), 0)])
    begun = [machine.step(NEW_WORD)[1] for _ in range(8)]
    assert [(step, word.text) for step, word in enumerate(begun) if word] == [(2, "one"), (6, "two")]


def test_a_step_needs_the_words_that_are_shown_with_one_that_can_begin() -> None:
    machine = machine_of([], ahead=2, complete=False)
    # In the first two steps none can.
    for _ in range(2):
        assert machine.ready
        machine.step(NEW_WORD)
    for number in range(3):
        assert not machine.ready
        machine.add(Word(f"word {number}", (number + 10, number + 20), 2))
    assert machine.ready
    machine.step(NEW_WORD)
    # Its second token and its padding are left.
    assert machine.ready
    machine.step(NEW_WORD)
    assert machine.ready
    machine.step(NEW_WORD)
    assert not machine.ready
    machine.complete()
    assert machine.ready


def test_a_pause_needs_no_words_after_it() -> None:
    machine = machine_of([Word("", (), 3)], ahead=2, complete=False)
    for _ in range(5):
        assert machine.ready
        machine.step(NEW_WORD)
    assert not machine.ready
