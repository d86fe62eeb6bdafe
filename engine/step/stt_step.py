"""One frame of a model that only listens (Kyutai's speech to text), for every slot that is due."""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.models.config import KvPrecision
from engine.models.delays import Delays
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.sampler import Draws
from engine.state.sampling_state import SamplingState
from engine.state.slot_state import StateGroup
from engine.step.filled import pretend_filled
from engine.step.frames import Sampling


class SttOutput(NamedTuple):
    """text int64 [B]; pauses float32 [B, H], how likely the speaker pauses now, by each extra head; heard
    int64 [B, K], the codes.
    """

    text: Tensor
    pauses: Tensor
    heard: Tensor


class SttStep:
    """The first half of Mimi and a language model that says text alone, over `slots` sessions."""

    def __init__(self, mimi: Mimi, lm: LM, slots: int, kv: KvPrecision = "exact") -> None:
        """Raises `CheckpointError` for models that do anything else."""
        config, codebooks = lm.config, mimi.config.quantizer.n_q
        if lm.depformer is not None:
            raise CheckpointError(
                "this model speaks; what only listens, such as kyutai/stt-1b-en_fr, transcribes"
            )
        if not 0 < config.heard_codebooks <= codebooks:
            raise CheckpointError(
                f"this model hears {config.heard_codebooks} codebooks, and its Mimi has {codebooks}"
            )
        if config.max_delay:
            raise CheckpointError(
                f"config.json: 'delays' go up to {config.max_delay}, and of models that only listen this "
                "engine runs those that have none"
            )
        self.config, self.slots = config, slots
        self._mimi, self._lm = mimi, lm
        self._delays = Delays(config, lm.device)
        self._mimi_state = mimi.new_ears(slots)
        self._lm_state = lm.new_state(slots, kv)
        self._tokens = self._delays.new_state(slots)
        self._sampling = SamplingState(slots, lm.device)
        self.state = StateGroup([self._mimi_state, self._lm_state, self._tokens, self._sampling])

    @torch.inference_mode()
    def join(self, slot: int, sampling: Sampling) -> None:
        """Gives `slot` to a new session; `prime` comes next."""
        self.state.reset(torch.tensor([slot], device=self._lm.device))
        self._sampling.set(
            slot,
            temperatures=(sampling.temperature_text, sampling.temperature),
            top_k=(sampling.top_k_text, sampling.top_k),
            seed=sampling.seed,
        )

    def fill_context(self, positions: int) -> None:
        """As `MoshiStep.fill_context`."""
        pretend_filled(self._lm_state, positions)
        kept = self._mimi_state.encoder.transformer
        pretend_filled(kept, positions * self._mimi.config.downsampling)

    @torch.inference_mode()
    def prime(self, slots: Tensor) -> None:
        """The first step of fresh slots (int64 [B]), which no frame can reach: it is fed initial tokens.

        Upstream's `run_inference` gives its first frame twice instead, of which this step hears nothing.
        """
        self._language(slots, self._delays.no_sound(len(slots)))

    @torch.inference_mode()
    def __call__(self, slots: Tensor, pcm: Tensor) -> SttOutput:
        """The next frame of each slot. slots: int64 [B], all different and primed; pcm: float32 [B, 1920]."""
        heard = self._mimi.encode(pcm, self._mimi_state, slots, self.config.heard_codebooks)
        return SttOutput(*self._language(slots, heard), heard)

    def _language(self, slots: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the language model: codes in, text and pauses out."""
        drawn = Draws(slots, self._tokens.offsets, self._sampling, self.config)
        tokens = self._delays.enter(self._tokens, slots, heard)
        hidden, text_logits = self._lm(tokens[:, :, None], self._lm_state, slots)
        text = drawn(0, text_logits[:, 0])
        said = self._delays.leave(self._tokens, slots, text, heard[:, :0])
        # The first of a head's classes is the pause (`step_with_extra_heads` of the reference).
        pauses = self._lm.extra_probabilities(hidden)[:, 0, :, 0]
        return said[:, 0], pauses.float()
