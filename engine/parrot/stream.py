"""What the language model's residual stream holds, and where.

Besides a constant one: the bits of the caller's eight codes as +-1, the bits that attention has fetched from
DELAY - 1 positions ago, the previous text token, and whether somebody speaks. Because a bit is +-1 and a
token one of a fixed set, every position has the same length, and RMSNorm is a constant factor.
"""

import math
from collections.abc import Sequence

from engine.parrot.shape import CARD_BITS, CODEBOOKS, LM_DIM

DELAY = 12
"""Frames of 80 ms from a sound to its echo."""
HANGOVER = 6
"""Frames without speech that a phrase may contain."""
LEAD = 1
"""Frames by which the text begins before the echo."""
WORDS = ("\u2581I", "\u2581hear", "\u2581you", ".")
PAD, EPAD = 3, 0

BITS = CODEBOOKS * CARD_BITS
HEARD = 0
FETCHED = BITS
ONE = 2 * BITS
TEXT = ONE + 1
INITIAL = TEXT + 2 + len(WORDS)
SPEECH = INITIAL + 1
IN_PHRASE = SPEECH + 1
"""Now and one step ago, as attention reports it: about 0 or 1."""
PHRASE = IN_PHRASE + 2
"""The same, sharpened."""

# The bits, the constant, one text token and the speech bit have length 1 each.
RMS_BEFORE_ATTENTION = math.sqrt((BITS + 3) / LM_DIM)
RMS_BEHIND_ATTENTION = math.sqrt((2 * BITS + 3) / LM_DIM)


def text_dimensions(word_ids: Sequence[int]) -> dict[int, int]:
    """The dimension that marks a text token, by token; all other tokens count as padding."""
    return {token: TEXT + index for index, token in enumerate([PAD, EPAD, *word_ids])}
