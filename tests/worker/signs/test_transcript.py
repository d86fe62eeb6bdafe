import math

from worker.signs.transcript import PAUSE_FRAMES, SENTENCE_PAUSE_FRAMES, Segmenter, Write

QUIET, LOUD = -math.inf, -20.0


def said(writes: list[Write]) -> list[str]:
    """The segments that these writes make; one that is still open ends in "|"."""
    segments: list[str] = []
    for write in writes:
        if write.begins:
            segments.append("|")
        segments[-1] = segments[-1][:-1] + write.text + "|"
        if write.ends:
            segments[-1] = segments[-1][:-1]
    return segments


def frames(segmenter: Segmenter, count: int, level: float) -> list[Write]:
    return [write for _ in range(count) for write in segmenter.frame(level)]


def pieces(segmenter: Segmenter, *texts: str) -> list[Write]:
    return [write for text in texts for write in segmenter.piece(text)]


def test_pieces_of_a_sentence_are_one_segment() -> None:
    segmenter = Segmenter()
    writes = pieces(segmenter, " I", " hear", " you", ".")
    assert said(writes) == ["I hear you.|"]
    writes += frames(segmenter, SENTENCE_PAUSE_FRAMES, LOUD)
    assert said(writes) == ["I hear you."]


def test_the_next_sentence_is_the_next_segment() -> None:
    segmenter = Segmenter()
    assert said(pieces(segmenter, " Yes", ".", " And", " you", "?")) == ["Yes.", "And you?|"]


def test_a_number_with_a_point_is_no_end_of_a_sentence() -> None:
    assert said(pieces(Segmenter(), " 3", ".", "5", " metres")) == ["3.5 metres|"]


def test_a_pause_ends_a_segment() -> None:
    segmenter = Segmenter()
    writes = pieces(segmenter, " Well")
    writes += frames(segmenter, PAUSE_FRAMES - 1, QUIET)
    assert said(writes) == ["Well|"]
    writes += frames(segmenter, 1, QUIET)
    assert said(writes) == ["Well"]


def test_words_that_are_still_being_spoken_are_no_pause() -> None:
    segmenter = Segmenter()
    writes = pieces(segmenter, " Well")
    writes += frames(segmenter, 5 * PAUSE_FRAMES, LOUD)
    writes += pieces(segmenter, ",")
    assert said(writes) == ["Well,|"]


def test_silence_writes_nothing() -> None:
    segmenter = Segmenter()
    assert frames(segmenter, 100, QUIET) == []
    assert segmenter.finish() == []


def test_the_end_of_the_call_ends_the_segment() -> None:
    segmenter = Segmenter()
    assert said(pieces(segmenter, " Good") + segmenter.finish()) == ["Good"]
