"""Words and pads against the reference's `StateMachine` and `script_to_entries`, on texts of all kinds."""

import random

from engine.step.tts_machine import TtsMachine, Word
from engine.step.tts_script import TtsScript
from tests.parity.test_tts import Letters

ENTRIES = 51
PARTS = ("a", "word", "(aside)", "so:", "it\N{RIGHT SINGLE QUOTATION MARK}s", "<break", 'time="1s"',
         '<break time="0.4s"/>', 'x<break time="1.2s" />y', ">", "<")  # fmt: skip


def text_of(draw: random.Random) -> str:
    return "".join(
        draw.choice(PARTS) + draw.choice((" ", "  ", "\n", "", " ")) for _ in range(draw.randint(0, 12))
    )


def test_a_text_becomes_the_entries_of_the_reference_in_any_pieces() -> None:
    from moshi.models.tts import TokenIds, script_to_entries

    draw = random.Random(0)
    for _ in range(300):
        text = text_of(draw)
        expected = script_to_entries(Letters(), TokenIds(ENTRIES), 12.5, [text], padding_between=1)
        script, rest, words = TtsScript(Letters().tokens), text, []
        while rest:
            size = draw.randint(1, 9)
            words += script.words(rest[:size])
            rest = rest[size:]
        words += script.last_words()
        assert [(list(w.tokens), w.text, w.padding) for w in words] == [
            (entry.tokens, entry.text, entry.padding) for entry in expected
        ]


def test_the_model_is_fed_what_the_reference_feeds_it() -> None:
    from moshi.models.tts import Entry, StateMachine, TokenIds

    draw = random.Random(1)
    ends = 0
    for ahead in (0, 1, 2, 3) * 60:
        entries = [
            Entry(
                [draw.randint(0, ENTRIES - 2) for _ in range(draw.randint(0, 4))], str(n), draw.randint(0, 5)
            )
            for n in range(draw.randint(0, 6))
        ]
        reference = StateMachine(TokenIds(ENTRIES), ahead, max_padding=8, initial_padding=2)
        state = reference.new_state(entries)
        machine = TtsMachine(ENTRIES, ahead)
        for entry in entries:
            machine.add(Word(entry.text, tuple(entry.tokens), entry.padding))
        machine.complete()
        begun = []
        for step in range(60):
            predicted = draw.choice((0, 0, 3, 3, 1, 4))
            expected, _ = reference.process(step, state, predicted)
            fed, word = machine.step(predicted)
            assert fed == expected
            begun += [(word.text, step)] if word else []
            assert machine.ended_at == state.end_step
        assert begun == state.transcript
        ends += state.end_step is not None
    assert ends > 100
