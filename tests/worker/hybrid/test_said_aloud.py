"""What the LLM reads of Moshi's words."""

from livekit.agents.llm import ChatContext, ChatMessage

from worker.hybrid.said_aloud import Said, SaidAloud, told

HELLO = ChatMessage(role="user", content=["Hello?"], created_at=10.0)
ANSWER = ChatMessage(role="assistant", content=["Good day."], created_at=11.0)
PARIS = ChatMessage(role="user", content=["And in Paris?"], created_at=20.0)


def read(*said: Said) -> list[str]:
    """The texts of that conversation as the LLM reads them."""
    read = told(ChatContext([HELLO, ANSWER, PARIS]), said).items
    return [item.text_content or "" for item in read if isinstance(item, ChatMessage)]


def test_what_moshi_said_before_the_caller_was_done_begins_what_they_said() -> None:
    hello, answer, paris = read(Said("I hear you.", 9.5), Said(" Mm-hm.", 12.0), Said("Right.", 19.0))
    assert hello == '[Moshi, the other voice in this call, has said aloud: "I hear you."]\nHello?'
    assert answer == "Good day.", "an answer stays what it was"
    assert paris.startswith('[Moshi, the other voice in this call, has said aloud: "Mm-hm. Right."]')
    assert paris.endswith("And in Paris?")


def test_what_moshi_said_after_them_waits_for_the_next_message() -> None:
    assert read(Said("One moment.", 20.5)) == ["Hello?", "Good day.", "And in Paris?"]


def test_the_history_itself_stays_as_it_was() -> None:
    history = ChatContext([HELLO, PARIS])
    told(history, [Said("Mm-hm.", 9.0)])
    assert history.items == [HELLO, PARIS]
    assert HELLO.content == ["Hello?"]


def test_a_conversation_in_which_moshi_was_silent_is_the_same() -> None:
    history = ChatContext([HELLO, ANSWER, PARIS])
    assert told(history, []).items == history.items


class File:
    """A transcript file that only takes note."""

    def __init__(self) -> None:
        self.written: list[tuple[str, bool]] = []

    def write(self, text: str, *, ends: bool = False) -> None:
        self.written.append((text, ends))

    def notice(self, text: str) -> None:
        self.written.append((text, True))


def test_pieces_become_segments_with_the_time_at_which_they_began() -> None:
    times = iter([1.0, 2.0])
    aloud = SaidAloud(wall=lambda: next(times))
    for text, ends in (("I", False), (" hear you.", False), ("", True), ("Go on.", False)):
        aloud.write(text, ends=ends)
    assert aloud.said == [Said("I hear you.", 1.0), Said("Go on.", 2.0)]


def test_whoever_keeps_them_gets_them_as_they_come() -> None:
    aloud, file = SaidAloud(), File()
    aloud.kept = file
    aloud.write("Mm-hm.", ends=True)
    aloud.notice("This call ends in 60 seconds.")
    assert file.written == [("Mm-hm.", True), ("This call ends in 60 seconds.", True)]
    assert [said.text for said in aloud.said] == ["Mm-hm."], "notices are not Moshi's"
