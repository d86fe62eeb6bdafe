"""Who the agent is: a voice and a role, as tokens that are forced on a session before its first frame.

PersonaPlex's order (arXiv 2602.06053; `LMGen.step_system_prompts`): the voice, half a second of silence, the
role at one text token a frame, half a second of silence. A tone is heard all the while.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import CheckpointError, SessionError
from engine.models.config import LMConfig
from engine.persona.voice import SINE, Voice, column_blocks
from engine.step.frames import FRAME_S
from engine.step.prefix import Prefix

SILENCE = (948, 243, 1178, 546, 1736, 1030, 1978, 2008)
"""One frame of silence as Mimi's codes."""
_PAUSE = 6
_TAG = "<system>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prefix, and what tells it from all others of the same engine."""

    key: tuple[str | None, str | None]
    prefix: Prefix


class Personas:
    """What a model of this kind can be told to be. voice, role: for sessions that ask for none.

    encode: a text as tokens. Raises CheckpointError for a model that is not of this kind, SessionError for a
    `voice` or a `role` that cannot be had.
    """

    def __init__(
        self,
        config: LMConfig,
        encode: Callable[[str], Sequence[int]],
        voices: Mapping[str, Voice],
        voice: str | None = None,
        role: str | None = None,
    ) -> None:
        channels = (config.own_codebooks, config.heard_codebooks)
        if channels != (len(SILENCE), len(SINE)) or config.card <= max(*SILENCE, *SINE):
            raise CheckpointError(
                "config.json: a personaplex model says 8 codebooks of 2048 codes and hears as many; this one "
                f"says {channels[0]}, hears {channels[1]}, and has {config.card} codes"
            )
        self._config = config
        self._encode = encode
        self._voices = dict(voices)
        self._usual = voice, role
        self.prompt(None, None)

    @property
    def voices(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._voices)

    @property
    def longest(self) -> int:
        """Positions that a prompt takes at most: half of what the model remembers."""
        return self._config.transformer.context // 2

    def prompt(self, voice: str | None, role: str | None) -> Prompt | None:
        """What a session begins with; None where there is neither a voice nor a role.

        Raises SessionError that says what can be had.
        """
        name, role = voice or self._usual[0], (role or self._usual[1] or "").strip()
        if not name and not role:
            return None
        chosen = self._voice(name) if name else None
        text = self._encode(tagged(role)) if role else []
        self._check_length(name, chosen.frames if chosen else 0, len(text))
        pause = _silent([self._config.text_padding_id] * _PAUSE)
        blocks = [pause, _silent(text), pause]
        tokens = np.concatenate([chosen.tokens, *blocks] if chosen else blocks, axis=1)
        return Prompt((name, role or None), Prefix(tokens, chosen.vectors if chosen else None))

    def _voice(self, name: str) -> Voice:
        if name in self._voices:
            return self._voices[name]
        known = ", ".join(self._voices) or "none: ENGINE_VOICES names a folder of them"
        raise SessionError(f"no voice is called {name[:80]!r}; this engine has {known}")

    def _check_length(self, name: str | None, frames: int, tokens: int) -> None:
        """The rest of what the model remembers is the conversation's."""
        fit = self.longest - frames - 2 * _PAUSE
        if tokens > fit:
            beside = f" beside the voice {name}" if name else ""
            memory_s = self._config.transformer.context * FRAME_S
            raise SessionError(
                f"the prompt has {tokens} tokens, and {max(fit, 0)} fit{beside}: it may take half of the "
                f"{memory_s:.0f} s that this model remembers, {FRAME_S:g} s a token; make it shorter"
            )


def tagged(role: str) -> str:
    """A role between the tags that the model was trained with, unless it has them."""
    role = role.strip()
    return role if role.startswith(_TAG) and role.endswith(_TAG) else f"{_TAG} {role} {_TAG}"


def _silent(text: Sequence[int]) -> NDArray[np.int64]:
    """A frame for each text token in which nothing else is said, int64 [17, N]."""
    said = np.broadcast_to(np.array(SILENCE)[:, None], (len(SILENCE), len(text)))
    return column_blocks(said, np.array(text, np.int64))
