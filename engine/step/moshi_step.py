"""One frame of a full-duplex model: the figure of the paper, for every slot that is due."""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.models.delays import Delays
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.models.noise import gumbel_noise
from engine.models.sampler import sample
from engine.state.sampling_state import SamplingState
from engine.state.slot_state import StateGroup
from engine.step.frames import Sampling


class MoshiOutput(NamedTuple):
    """What is played for this frame and the tokens behind it, delays removed; `user_codes` are what was
    heard.

    text int64 [B], codes int64 [B, own], user_codes int64 [B, heard], pcm float32 [B, 1920].
    """

    text: Tensor
    codes: Tensor
    user_codes: Tensor
    pcm: Tensor


class MoshiStep:
    """Mimi and the language model over `slots` sessions, each in a slot of its own."""

    def __init__(self, mimi: Mimi, lm: LM, slots: int) -> None:
        """Raises `CheckpointError` for models that do not both listen and speak."""
        config, codebooks = lm.config, mimi.config.quantizer.n_q
        if lm.depformer is None:
            raise CheckpointError(
                "this model only listens and says nothing; calls need one such as kyutai/moshiko-pytorch-bf16"
            )
        if not 0 < config.heard_codebooks <= codebooks or config.own_codebooks > codebooks:
            raise CheckpointError(
                f"this model hears {config.heard_codebooks} codebooks, says {config.own_codebooks}, "
                f"and Mimi has {codebooks}; calls need one that does both, as kyutai/moshiko-pytorch-bf16"
            )
        self._mimi, self._lm, self._depformer = mimi, lm, lm.depformer
        self._delays = Delays(lm.config, lm.device)
        self._mimi_state = mimi.new_state(slots)
        self._lm_state = lm.new_state(slots)
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

    @torch.inference_mode()
    def prime(self, slots: Tensor) -> None:
        """Steps fresh slots (int64 [B]) until the first frame that they hear is answered with sound."""
        for _ in range(self._delays.longest):
            self._language(slots, self._delays.no_sound(len(slots)))

    @torch.inference_mode()
    def __call__(self, slots: Tensor, pcm: Tensor) -> MoshiOutput:
        """The next frame of each slot. slots: int64 [B], all different and primed; pcm: float32 [B, 1920]."""
        heard = self._mimi.encode(pcm, self._mimi_state, slots, self._lm.config.heard_codebooks)
        self._language(slots, heard)
        said = self._delays.leave(self._tokens, slots)
        text, codes = said[:, 0], said[:, 1:]
        return MoshiOutput(text, codes, heard, self._mimi.decode(codes, self._mimi_state, slots))

    def _language(self, slots: Tensor, heard: Tensor) -> None:
        """One step of the language model: tokens in, tokens kept."""
        sampling, config = self._sampling, self._lm.config
        temperatures, top_k = sampling.temperatures[slots], sampling.top_k[slots]
        seeds, frames = sampling.seeds[slots], self._tokens.offsets[slots]
        text_noise = gumbel_noise(seeds, frames, range(1), config.text_card_out)[:, 0]
        code_noise = gumbel_noise(seeds, frames, range(1, 1 + config.own_codebooks), config.card)

        def pick(codebook: int, logits: Tensor) -> Tensor:
            return sample(logits, code_noise[:, codebook], temperatures[:, 1], top_k[:, 1])

        self._delays.hear(self._tokens, slots, heard)
        tokens = self._delays.enter(self._tokens, slots)
        hidden, text_logits = self._lm(tokens[:, :, None], self._lm_state, slots)
        text = sample(text_logits[:, 0], text_noise, temperatures[:, 0], top_k[:, 0])
        codes = self._depformer(hidden[:, 0], text, pick)
        self._delays.say(self._tokens, slots, torch.cat([text[:, None], codes], dim=1))
