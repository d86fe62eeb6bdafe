"""How fast a machine happens to be: for a while it is faster than usual, and for a while slower."""

import math

import numpy as np


class Spells:
    """Says of each moment how large a share of all steps is faster, 0 to 1.

    On the whole every share is as likely as any other. Shares of moments closer than `spell_s` resemble each
    other (correlation 1/e of the normal variables behind them); 0 makes every step independent.
    """

    def __init__(self, spell_s: float, random: np.random.Generator) -> None:
        self._spell_s = spell_s
        self._random = random
        self._at_s = -math.inf
        self._normal = 0.0

    def share(self, now_s: float) -> float:
        """Of a step that begins now; ask in the order of time."""
        kept = math.exp((self._at_s - now_s) / self._spell_s) if self._spell_s else 0.0
        self._normal = kept * self._normal + math.sqrt(1 - kept * kept) * float(self._random.normal())
        self._at_s = now_s
        return 0.5 * (1 + math.erf(self._normal / math.sqrt(2)))
