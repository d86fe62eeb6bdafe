"""The words of answers, on their way to whoever wanted them already."""

from livekit.agents import room_io
from livekit.agents.voice import io

from worker.hybrid.words import Words, overhearing


class Written(io.TextOutput):
    def __init__(self) -> None:
        super().__init__(label="written", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        self.text += "."


async def test_they_are_told_and_go_on_to_who_was_there_before() -> None:
    told: list[str] = []
    written = Written()
    text = room_io.TextOutputOptions(transcription_speed_factor=2.0, next_in_chain=written)
    mine = room_io.RoomOptions(text_output=text, participant_identity="ada")
    options = overhearing({"room_options": mine, "record": False}, told.append)
    output = options["room_options"].get_text_output_options()
    await output.next_in_chain.capture_text("Good ")
    await output.next_in_chain.capture_text("day")
    output.next_in_chain.flush()
    assert (told, written.text) == (["Good ", "day"], "Good day.")
    assert (output.transcription_speed_factor, options["record"]) == (2.0, False)
    assert options["room_options"].participant_identity == "ada"
    assert text.next_in_chain is written, "what somebody may use again is as it was"


async def test_without_options_they_are_told() -> None:
    told: list[str] = []
    chain = overhearing({}, told.append)["room_options"].get_text_output_options().next_in_chain
    assert isinstance(chain, Words)
    await chain.capture_text("Good")
    chain.flush()
    assert told == ["Good"]


def test_who_writes_no_words_is_told_none() -> None:
    options = {"room_options": room_io.RoomOptions(text_output=False)}
    assert overhearing(options, lambda _text: None) is options
