"""One frame of a full-duplex model: the figure of the paper, for every slot that is due."""

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
from engine.step.prefix import Prefix, fed_tokens, without_wrap


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

    def __init__(self, mimi: Mimi, lm: LM, slots: int, kv: KvPrecision = "exact") -> None:
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
        self.config, self.slots = config, slots
        self._mimi, self._lm, self._depformer = mimi, lm, lm.depformer
        self._delays = Delays(lm.config, lm.device)
        self._mimi_state = mimi.new_state(slots)
        self._lm_state = lm.new_state(slots, kv)
        self._tokens = self._delays.new_state(slots)
        self._sampling = SamplingState(slots, lm.device)
        self.state = StateGroup([self._mimi_state, self._lm_state, self._tokens, self._sampling])
        self.own_ears = mimi.new_ears(slots)
        """Hears what is to be the model's own words. Begun anew with each answer, and so no part of what a
        session leaves behind."""

    @torch.inference_mode()
    def join(self, slot: int, sampling: Sampling) -> None:
        """Gives `slot` to a new session; `prime` comes next."""
        self.state.reset(torch.tensor([slot], device=self._lm.device))
        self.draw_as(slot, sampling)

    @torch.inference_mode()
    def draw_as(self, slot: int, sampling: Sampling) -> None:
        """How the session in `slot` draws its tokens from now on."""
        self._sampling.set(
            slot,
            temperatures=(sampling.temperature_text, sampling.temperature),
            top_k=(sampling.top_k_text, sampling.top_k),
            seed=sampling.seed,
        )

    def fill_context(self, positions: int) -> None:
        """Makes every slot that of a session `positions` frames old, whose keys and values are noise: for
        measuring.
        """
        mimi = self._mimi_state
        pretend_filled(self._lm_state, positions)
        for kept in (mimi.encoder.transformer, mimi.decoder.transformer):
            pretend_filled(kept, positions * self._mimi.config.downsampling)

    @torch.inference_mode()
    def prime(self, slots: Tensor) -> None:
        """Steps fresh slots (int64 [B]) until the first frame that they hear is answered with sound."""
        for _ in range(self._delays.longest):
            self._language(slots, self._delays.no_sound(len(slots)))

    @torch.inference_mode()
    def prefill(self, slot: int, prefix: Prefix, positions: range) -> None:
        """Instead of `prime`: runs the next `positions` of a session's prefix, many at once.

        After the last, T - 1, the slot is where T steps would have left it on which its tokens were forced.
        That one alone draws anything.
        """
        assert self._delays.longest <= 1, "longer delays would let steps overwrite what is forced"
        slots = torch.tensor([slot], device=self._lm.device)
        tokens, last = torch.from_numpy(prefix.tokens), prefix.length - 1
        together = range(positions.start, min(positions.stop, last))
        for piece in without_wrap(range(together.start, min(together.stop, prefix.given)), self._capacity):
            assert prefix.vectors is not None, "as many are given as there are"
            vectors = prefix.vectors[piece.start : piece.stop].to(slots.device, self._lm.dtype)
            self._lm.from_vectors(vectors[None], self._lm_state, slots)
        for piece in without_wrap(range(max(together.start, prefix.given), together.stop), self._capacity):
            fed = fed_tokens(self.config, tokens, piece).to(slots.device)
            self._lm(fed[None], self._lm_state, slots)
        if last in positions:
            self._say_last(slots, tokens, last)

    @property
    def _capacity(self) -> int:
        return self._lm_state.capacity

    def _say_last(self, slots: Tensor, prefix: Tensor, last: int) -> None:
        """The step whose own tokens are the first to be kept, but for those that the prefix still delays."""
        cache, own = self._tokens, 1 + self.config.own_codebooks
        forced = prefix[:, last:].to(slots.device)
        cache.offsets[slots] = last
        cache.tokens[slots, :, last % cache.capacity] = fed_tokens(
            self.config, prefix, range(last, last + 1)
        ).T.to(slots.device)
        self._language(slots, forced[own:].T)
        for channel, delay in enumerate(self.config.delays[:own]):
            if delay:
                cache.tokens[slots, channel, (last + delay) % cache.capacity] = forced[channel]

    @torch.inference_mode()
    def begin_words(self, slots: Tensor) -> None:
        """What `own_codes` hears next of `slots` (int64 [B]) follows nothing that it has heard of them."""
        self.own_ears.reset(slots)

    @torch.inference_mode()
    def own_codes(self, slots: Tensor, pcm: Tensor) -> Tensor:
        """Sound that a slot is to take for its own, as codes int64 [B, own]; arguments as of a step."""
        return self._mimi.encode(pcm, self.own_ears, slots, self.config.own_codebooks)

    @torch.inference_mode()
    def __call__(self, slots: Tensor, pcm: Tensor, given: Tensor | None = None) -> MoshiOutput:
        """The next frame of each slot. slots: int64 [B], all different and primed; pcm: float32 [B, 1920].

        given: text and codes int64 [B, 1 + own] that it says in this frame, NOT_GIVEN where it says its own.
        For models whose delays are of one step at most.
        """
        heard = self._mimi.encode(pcm, self._mimi_state, slots, self._lm.config.heard_codebooks)
        said = self._language(slots, heard, given)
        text, codes = said[:, 0], said[:, 1:]
        return MoshiOutput(text, codes, heard, self._mimi.decode(codes, self._mimi_state, slots))

    def _language(self, slots: Tensor, heard: Tensor, given: Tensor | None = None) -> Tensor:
        """One step of the language model: heard codes in, text and own codes [B, 1 + own] out."""
        drawn = Draws(slots, self._tokens.offsets, self._sampling, self._lm.config)
        tokens = self._delays.enter(self._tokens, slots, heard, given)
        hidden, text_logits = self._lm(tokens[:, :, None], self._lm_state, slots)
        text = drawn(0, text_logits[:, 0])
        codes = self._depformer(hidden[:, 0], text, lambda codebook, logits: drawn(1 + codebook, logits))
        return self._delays.leave(self._tokens, slots, text, codes, given)
