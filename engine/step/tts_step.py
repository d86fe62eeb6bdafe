"""One step of a model that reads aloud (Kyutai's text to speech), for every slot that is due."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.models.config import KvPrecision
from engine.models.delays import Delays
from engine.models.embedding import NO_TOKEN
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.sampler import Draws
from engine.state.sampling_state import SamplingState
from engine.state.slot_state import StateGroup
from engine.step.filled import pretend_filled
from engine.step.frames import FRAME_SAMPLES, Sampling

SPEAKERS = 5
"""Voices that such a model was trained with at once; of one alone the others are padding."""
USUAL_VOICE = 125
"""Vectors of a voice of ten seconds."""

Choose = Callable[[list[int]], list[int]]
"""The tokens that rows are fed for those that the model predicted for them."""


class TtsOutput(NamedTuple):
    """text int64 [B], what was fed; codes int64 [B, K], delays removed; pcm float32 [B, 1920]. `sounding`:
    which rows have sound; the codes of others, and their samples, mean nothing.
    """

    text: Tensor
    codes: Tensor
    pcm: Tensor
    sounding: list[bool]


class TtsStep:
    """A language model that is given text and a voice, and the second half of Mimi, over `slots` sessions."""

    def __init__(
        self,
        mimi: Mimi,
        lm: LM,
        slots: int,
        delay: int,
        longest_voice: int = USUAL_VOICE,
        kv: KvPrecision = "exact",
    ) -> None:
        """delay: of the sound, in steps; longest_voice: vectors of the longest. Raises `CheckpointError` for
        models that do anything else.
        """
        config, codebooks = lm.config, mimi.config.quantizer.n_q
        if lm.depformer is None or lm.conditions is None:
            raise CheckpointError(
                "this model does not read aloud; what was trained with voices, such as "
                "kyutai/tts-1.6b-en_fr, does"
            )
        if config.own_codebooks > codebooks:
            raise CheckpointError(
                f"this model says {config.own_codebooks} codebooks, and its Mimi has {codebooks}"
            )
        self.config, self.slots, self.delay = config, slots, delay
        self._mimi, self._lm, self._depformer, self._conditions = mimi, lm, lm.depformer, lm.conditions
        self._delays = Delays(config, lm.device)
        self._mimi_state = mimi.new_mouth(slots)
        self._lm_state = lm.new_state(slots, kv)
        self._told = lm.new_told(slots, SPEAKERS * longest_voice)
        self._tokens = self._delays.new_state(slots)
        self._sampling = SamplingState(slots, lm.device)
        self._steps = [0] * slots
        silent = [delay + own for own in config.delays[1 : 1 + config.own_codebooks]]
        self._silent = torch.tensor(silent, device=lm.device)
        self.state = StateGroup([self._mimi_state, self._lm_state, self._told, self._tokens, self._sampling])

    @property
    def late(self) -> int:
        """Steps before the first that has sound."""
        return self.delay + self._delays.longest

    @torch.inference_mode()
    def join(self, slot: int, sampling: Sampling, voice: Tensor | None, values: Mapping[str, str]) -> None:
        """Gives `slot` to a new session. voice: [T, D], T at most `longest_voice`; values: those of all
        conditions but the voice.
        """
        self.state.reset(torch.tensor([slot], device=self._lm.device))
        self._steps[slot] = 0
        self._sampling.set(
            slot,
            temperatures=(sampling.temperature_text, sampling.temperature),
            top_k=(sampling.top_k_text, sampling.top_k),
            seed=sampling.seed,
        )
        dim = self._conditions.config.voice_dim
        heard = torch.zeros(0, dim) if voice is None else voice
        length = SPEAKERS * (USUAL_VOICE if voice is None else len(voice))
        assert length <= self._told.caches[0].length, "a longer voice than there is room for"
        self._lm.tell(self._told, slot, heard.to(self._lm.device), length, values)

    def fill_context(self, positions: int) -> None:
        """As `MoshiStep.fill_context`: with sound from the next steps on."""
        pretend_filled(self._lm_state, positions)
        pretend_filled(self._mimi_state.decoder.transformer, positions * self._mimi.config.downsampling)
        self._steps = [self.delay] * self.slots

    @torch.inference_mode()
    def __call__(self, slots: Sequence[int], choose: Choose) -> TtsOutput:
        """The next step of each slot, all different."""
        rows = torch.tensor(slots, device=self._lm.device)
        steps = [self._steps[slot] for slot in slots]
        drawn = Draws(rows, self._tokens.offsets, self._sampling, self.config)
        unheard = rows.new_full((len(slots), self.config.heard_codebooks), NO_TOKEN)
        tokens = self._delays.enter(self._tokens, rows, unheard)
        hidden, text_logits = self._lm(tokens[:, :, None], self._lm_state, rows, self._told)
        # Words are chosen on the host, which has to wait for the device here.
        chosen = choose(drawn(0, text_logits[:, 0]).tolist())
        text = torch.tensor(chosen, device=rows.device)
        codes = self._codes(hidden[:, 0], text, torch.tensor(steps, device=rows.device), max(steps), drawn)
        said = self._delays.leave(self._tokens, rows, text, codes)
        for slot in slots:
            self._steps[slot] += 1
        sounding = [step >= self.late for step in steps]
        return TtsOutput(said[:, 0], said[:, 1:], self._sound(rows, said[:, 1:], sounding), sounding)

    def _codes(self, hidden: Tensor, text: Tensor, steps: Tensor, latest: int, drawn: Draws) -> Tensor:
        """Codes int64 [B, K]: none in a session's first steps, which have no sound yet."""
        if latest < self.delay:
            return text.new_full((len(text), self.config.own_codebooks), NO_TOKEN)
        codes: Tensor = self._depformer(hidden, text, lambda codebook, logits: drawn(1 + codebook, logits))
        return codes.masked_fill_(steps[:, None] < self._silent, NO_TOKEN)

    def _sound(self, rows: Tensor, codes: Tensor, sounding: list[bool]) -> Tensor:
        pcm = torch.zeros(len(rows), FRAME_SAMPLES, device=rows.device)
        if any(sounding):
            with_sound = [row for row, sounds in enumerate(sounding) if sounds]
            heard = torch.tensor(with_sound, device=rows.device)
            pcm[heard] = self._mimi.decode(codes[heard], self._mimi_state, rows[heard])
        return pcm
