"""Text to speech against the reference's `TTSModel`: tokens, times of words and sound."""

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.checkpoint import load
from engine.checkpoint.config_tts import tts_config, tts_lm_config
from engine.checkpoint.names import lm_entries
from engine.checkpoint.random_weights import tts_1_6b
from engine.checkpoint.tts_voices import TtsVoice
from engine.checkpoint.weights import allocate, fill
from engine.errors import CheckpointError
from engine.models.config import TtsConfig
from engine.models.lm import LM
from engine.models.mimi import Mimi
from engine.parrot import CHECKPOINT
from engine.step.build import make_tts_runner
from engine.step.frames import Sampling
from engine.step.tts_runner import TtsFrame, TtsRunner
from engine.step.tts_step import TtsOutput, TtsStep
from tests.parity.reference import (
    CPU,
    LM_KWARGS,
    MIMI_CONFIG,
    assert_close,
    our_mimi,
    reference_lm,
    reference_mimi,
)
from tests.parity.test_names import fused, keys_of, shapes

GREEDY = Sampling(temperature=0.0, temperature_text=0.0)
# Weights and tokens are few and the context is short; all else is in the form of tts-1.6b-en_fr.
WHOLE: dict[str, Any] = {
    "n_q": 32, "dep_q": 32, "delays": [0, 0, *[2] * 31],
    "depformer_weights_per_step_schedule": [*range(8), *[8] * 8, *[9] * 8, *[10] * 8],
}  # fmt: skip
TINY: dict[str, Any] = {
    "n_q": 8, "dep_q": 8, "delays": [0, 0, *[2] * 7], "text_card_out": 5, "context": 8,
    "depformer_weights_per_step_schedule": [0, 1, 2, 2, 2, 3, 3, 3],
    "demux_second_stream": True, "depformer_low_rank_embeddings": 8, "depformer_dim_feedforward": 96,
    "cross_attention": True,
    "conditioners": {
        "speaker_wavs": {"type": "tensor", "tensor": {"dim": 12}},
        "cfg": {"type": "lut", "lut": {"n_bins": 7, "dim": 6, "tokenizer": "noop",
                "possible_values": ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]}},
        "control": {"type": "lut", "lut": {"n_bins": 1, "dim": 6, "tokenizer": "noop",
                    "possible_values": ["ok"]}},
    },
    "fuser": {"cross_attention_pos_emb": True, "cross_attention_pos_emb_scale": 1,
              "sum": ["control", "cfg"], "prepend": [], "cross": ["speaker_wavs"]},
}  # fmt: skip
PUBLISHED: dict[str, Any] = {
    "tts_config": {"audio_delay": 0.4, "second_stream_ahead": 2},
    "model_id": {"sig": "1e68beda", "epoch": 240}, "model_type": "tts",
    "lm_gen_config": {"temp": 0.6, "temp_text": 0.6, "top_k": 250, "top_k_text": 50},
    "moshi_name": "dsm_tts_1e68beda@240.safetensors",
    "mimi_name": "tokenizer-e351c8d8-checkpoint125.safetensors",
    "tokenizer_name": "tokenizer_spm_8k_en_fr_audio.model",
}  # fmt: skip
TTS = tts_config(PUBLISHED["tts_config"], PUBLISHED["model_id"])
TEXTS = (
    "Four score and: seven years",
    'conceived <break time="0.8s"/> in (liberty)',
    "engaged, they can\N{RIGHT SINGLE QUOTATION MARK}t long endure",
)
WORDS = (5, 3, 5)
GUIDANCE = (2.0, 1.0, 3.5)


class Letters:
    """A tokenizer of one to four tokens a word."""

    def encode(self, word: str) -> list[int]:
        return [4 + ord(letter) % 45 for letter in word[:4]]

    def tokens(self, text: str) -> list[int]:
        return self.encode(text)


@dataclass
class Said:
    """What one text became: tokens [1 + K] of each frame, words with the steps that they begin at, sound."""

    tokens: list[list[int]] = field(default_factory=list)
    words: list[tuple[str, int]] = field(default_factory=list)
    pcm: list[Tensor] = field(default_factory=list)


@dataclass
class Models:
    reference_lm: Any
    reference_mimi: Any
    lm: LM
    mimi: Mimi
    voices: list[TtsVoice]
    files: list[Path]

    @torch.no_grad()
    def alone(self, text: str, voice: int, cfg: float, tts: TtsConfig = TTS, codebooks: int = 8) -> Said:
        """What the reference makes of it, as its `simple_generate` does."""
        from moshi.models.tts import StateMachine, TokenIds, TTSModel

        lm = copy.deepcopy(self.reference_lm)
        machine = StateMachine(TokenIds(lm.text_card + 1), tts.ahead, max_padding=8, initial_padding=2)
        model = TTSModel(
            lm, self.reference_mimi, Letters(), "", "", machine, delay_steps=tts.delay, n_q=codebooks
        )
        attributes = model.make_condition_attributes([self.files[voice]], cfg_coef=cfg)
        entries = model.prepare_script([text], padding_between=1)
        result = model.generate([entries], [attributes], use_sampling=False, check=False)
        with self.reference_mimi.streaming(1):
            sound = [self.reference_mimi.decode(frame[:, 1:]) for frame in result.frames[tts.delay :]]
        return Said(
            [frame[0, :, 0].tolist() for frame in result.frames],
            result.all_transcripts[0],
            [pcm[0, 0].clip(-1, 1) for pcm in sound[2:][: result.end_steps[0]]],
        )


class Recorded(TtsStep):
    """Keeps what each slot was answered."""

    said: dict[int, list[list[int]]]

    def join(self, slot: int, *args: Any) -> None:
        self.__dict__.setdefault("said", {})[slot] = []
        super().join(slot, *args)

    def __call__(self, slots: Sequence[int], choose: Any) -> TtsOutput:
        out = super().__call__(slots, choose)
        for row, slot in enumerate(slots):
            # The first are those that are not complete yet.
            if self._steps[slot] > self._delays.longest:
                self.said[slot].append([int(out.text[row]), *out.codes[row].tolist()])
        return out


def filled(lm: LM, path: Path) -> LM:
    allocate(lm, CPU, torch.float32)
    fill(lm, lm_entries(lm), path)
    return lm


def save(path: Path, weights: Mapping[str, Tensor]) -> None:
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)


def models(folder: Path, tts: TtsConfig = TTS, **changes: Any) -> Models:
    kwargs = TINY | changes
    lm = reference_lm(seed=3, **copy.deepcopy(kwargs))
    mimi = reference_mimi(kwargs["n_q"], seed=1)
    save(folder / "lm.safetensors", lm.state_dict())
    ours = filled(LM(tts_lm_config(LM_KWARGS | kwargs, tts)), folder / "lm.safetensors")
    generator = torch.Generator().manual_seed(5)
    voices, files = [], []
    for index, length in enumerate((7, 4, 9)):
        tensor = torch.randn(1, 12, length, generator=generator)
        files.append(folder / f"voice{index}.safetensors")
        save(files[-1], {"speaker_wavs": tensor})
        assert ours.config.conditions is not None
        voices.append(TtsVoice.read(str(index), files[-1], ours.config.conditions))
    return Models(lm, mimi, ours, our_mimi(mimi.state_dict(), folder), voices, files)


def runner_of(both: Models, slots: int, tts: TtsConfig = TTS) -> tuple[TtsRunner, Recorded]:
    step = Recorded(both.mimi, both.lm, slots, tts.delay, longest_voice=9)
    return TtsRunner(step, tts, Letters()), step  # type: ignore[arg-type]


def collect(said: Said, frame: TtsFrame) -> None:
    said.words += [(word.text, round(word.start_s * 12.5) + 2) for word in frame.words]
    if len(frame.pcm):
        said.pcm.append(torch.from_numpy(frame.pcm).float() / 32768)


def read_alone(runner: TtsRunner, step: Recorded, slot: int, text: str, voice: TtsVoice, cfg: float) -> Said:
    runner.open(slot, voice, GREEDY, cfg)
    runner.say(slot, text)
    runner.end(slot)
    said = Said()
    while runner.ready(slot):
        collect(said, runner.step([slot])[0])
    said.tokens = step.said[slot]
    return said


def assert_same(ours: Said, expected: Said) -> None:
    assert ours.words == expected.words
    assert ours.tokens == expected.tokens
    assert len(ours.pcm) == len(expected.pcm)
    difference = (torch.cat(ours.pcm) - torch.cat(expected.pcm)).abs().max()
    # Ours went through int16.
    assert difference < 2 / 32768


def test_tokens_words_and_sound_are_those_of_the_reference(tmp_path: Path) -> None:
    both = models(tmp_path)
    runner, step = runner_of(both, 2)
    for voice, (text, cfg) in enumerate(zip(TEXTS, GUIDANCE, strict=True)):
        said = read_alone(runner, step, 1, text, both.voices[voice], cfg)
        assert_same(said, both.alone(text, voice, cfg))
        assert len(said.tokens) > 2 * both.lm.config.transformer.context
        # Not the same thing over and over.
        assert len({tuple(frame[1:]) for frame in said.tokens}) > 10
        assert len(said.words) == WORDS[voice]


def test_all_codebooks_and_the_first_of_them_are_those_of_the_reference(tmp_path: Path) -> None:
    both = models(tmp_path, **WHOLE)
    runner, step = runner_of(both, 1)
    said = read_alone(runner, step, 0, TEXTS[1], both.voices[0], 2.0)
    assert_same(said, both.alone(TEXTS[1], 0, 2.0, codebooks=32))
    assert {len(frame) for frame in said.tokens} == {33}
    fewer = filled(LM(both.lm.config.running(9)), tmp_path / "lm.safetensors")
    runner, step = runner_of(replace(both, lm=fewer), 1)
    said = read_alone(runner, step, 0, TEXTS[1], both.voices[0], 2.0)
    assert_same(said, both.alone(TEXTS[1], 0, 2.0, codebooks=9))
    assert {len(frame) for frame in said.tokens} == {10}


def test_readers_who_come_stall_and_begin_anew_are_as_alone(tmp_path: Path) -> None:
    both = models(tmp_path)
    runner, step = runner_of(both, 4)
    begins = {0: [(0, 0)], 2: [(3, 1), (25, 2)], 3: [(12, 2)]}
    generator = torch.Generator().manual_seed(2)
    reading: dict[int, tuple[int, Said]] = {}
    rest: dict[int, str] = {}
    finished: list[tuple[int, Said]] = []
    for t in range(400):
        for slot, times in begins.items():
            for at, which in times:
                if t == at:
                    runner.open(slot, both.voices[which], GREEDY, GUIDANCE[which])
                    reading[slot], rest[slot] = (which, Said()), TEXTS[which]
        for slot in list(rest):
            # Text comes in pieces of any size, now and then.
            size = int(torch.randint(0, 9, (), generator=generator))
            runner.say(slot, rest[slot][:size])
            rest[slot] = rest[slot][size:]
            if not rest[slot]:
                runner.end(slot)
                del rest[slot]
        due = [s for s in reading if runner.ready(s) and torch.rand((), generator=generator) > 0.3]
        if due:
            for slot, frame in zip(due, runner.step(due), strict=True):
                collect(reading[slot][1], frame)
                if frame.done:
                    which, said = reading.pop(slot)
                    said.tokens = step.said[slot]
                    finished.append((which, said))
        if t > 25 and not reading:
            break
    # Who had text 1 was sent away in the middle of it.
    assert sorted(which for which, _ in finished) == [0, 2, 2]
    for which, said in finished:
        assert_same(said, both.alone(TEXTS[which], which, GUIDANCE[which]))


@pytest.mark.parametrize(
    ("tts", "changes"),
    [
        (TtsConfig(delay=3), {"demux_second_stream": False, "text_card_out": None}),
        (TtsConfig(delay=2, ahead=1), {"layer_scale": 0.5, "depformer_layer_scale": 0.5}),
        (
            TtsConfig(delay=4, ahead=2),
            {"fuser": TINY["fuser"] | {"cross_attention_pos_emb": False, "sum": ["cfg", "control"]}},
        ),
    ],
    ids=["without a second stream", "one word ahead, scaled layers", "a voice without positions"],
)
def test_relatives_of_the_model_read_as_the_reference(
    tmp_path: Path, tts: TtsConfig, changes: dict[str, Any]
) -> None:
    both = models(tmp_path, tts, **changes)
    runner, step = runner_of(both, 1, tts)
    said = read_alone(runner, step, 0, TEXTS[1], both.voices[2], 1.5)
    assert_same(said, both.alone(TEXTS[1], 2, 1.5, tts))


@torch.no_grad()
def test_a_voice_is_heard_in_every_layer_as_in_the_reference(tmp_path: Path) -> None:
    """Logits under the same tokens, for rows with voices of several lengths beside each other."""
    both = models(tmp_path)
    from moshi.models.tts import StateMachine, TokenIds, TTSModel

    state, slots = both.lm.new_state(3), torch.arange(3)
    state.reset(slots)
    told = both.lm.new_told(3, 5 * 9)
    machine = StateMachine(TokenIds(51))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 32, (3, 9, 25), generator=generator)
    expected = []
    model = TTSModel(both.reference_lm, both.reference_mimi, Letters(), "", "", machine, delay_steps=5)
    for slot, (voice, cfg) in enumerate(zip(both.voices, GUIDANCE, strict=True)):
        both.lm.tell(told, slot, voice.vectors, 5 * len(voice.vectors), {"control": "ok", "cfg": str(cfg)})
        attributes = model.make_condition_attributes([both.files[slot]], cfg_coef=cfg)
        conditions = both.reference_lm.condition_provider.prepare_and_provide([attributes])
        fuser = both.reference_lm.fuser
        with both.reference_lm.streaming(1):
            steps = [
                both.reference_lm.forward_text(
                    tokens[slot : slot + 1, :, t : t + 1],
                    fuser.get_sum(conditions),
                    fuser.get_cross(conditions),
                )[0]
                for t in range(25)
            ]
        expected.append(torch.cat(steps, dim=1))
    for t in range(25):
        hidden, _ = both.lm(tokens[:, :, t : t + 1], state, slots, told)
        assert_close(hidden[:, 0], torch.stack([row[0, t] for row in expected]))


def test_a_checkpoint_loads_as_it_is_published(tmp_path: Path) -> None:
    """Shapes, random weights and a tokenizer of ours apart."""
    both = models(tmp_path, text_card=64)
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder / PUBLISHED["moshi_name"], fused(both.reference_lm.state_dict()))
    save(folder / PUBLISHED["mimi_name"], both.reference_mimi.state_dict())
    shutil.copy(next(CHECKPOINT.glob("*.model")), folder / PUBLISHED["tokenizer_name"])
    config = LM_KWARGS | TINY | PUBLISHED | {"mimi_config": MIMI_CONFIG, "text_card": 64}
    (folder / "config.json").write_text(json.dumps(config))
    model = load(str(folder), CPU)
    assert model.tts == TtsConfig(delay=5, ahead=2, tag="1e68beda@240")
    assert model.sampling == Sampling(0.6, 250, 0.6, 50)
    assert make_tts_runner(model, 1).cfg_values == (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    runner, step = runner_of(replace(both, lm=model.lm, mimi=model.mimi), 1)
    said = read_alone(runner, step, 0, TEXTS[0], both.voices[0], 2.0)
    assert_same(said, both.alone(TEXTS[0], 0, 2.0))
    (folder / "config.json").write_text(json.dumps(config | {"text_card": 63}))
    with pytest.raises(CheckpointError, match="64 pieces, and the model reads 63"):
        load(str(folder), CPU)


def test_conditions_stay_in_float32() -> None:
    model = load("random:tiny-tts", CPU, torch.bfloat16)
    assert model.lm.conditions is not None
    assert {tensor.dtype for tensor in model.lm.conditions.state_dict().values()} == {torch.float32}
    assert model.lm.dtype == torch.bfloat16


def test_the_model_of_full_size_has_exactly_the_keys_and_shapes_of_the_reference() -> None:
    from moshi.models import loaders
    from moshi.models.lm import LMModel

    kwargs = LM_KWARGS | TINY | WHOLE | {
        "dim": 2048, "text_card": 8000, "card": 2048, "num_heads": 16, "num_layers": 16, "context": 500,
        "depformer_dim": 1024, "depformer_dim_feedforward": 3072, "depformer_num_heads": 16,
        "depformer_num_layers": 4, "depformer_low_rank_embeddings": 128, "text_card_out": None,
    }  # fmt: skip
    kwargs = copy.deepcopy(kwargs)
    lut = kwargs["conditioners"]
    lut["speaker_wavs"]["tensor"]["dim"] = 512
    lut["cfg"]["lut"]["dim"] = lut["control"]["lut"]["dim"] = 16
    assert tts_lm_config(kwargs, TtsConfig(16, 2)) == tts_1_6b()
    with torch.device("meta"):
        lm = LM(tts_1_6b())
        provider = loaders.get_conditioner_provider(2048, "meta", kwargs)
        fuser = loaders.get_condition_fuser(kwargs)
        for key in ("conditioners", "fuser"):
            del kwargs[key]
        kwargs["demux_second_text_stream"] = kwargs.pop("demux_second_stream")
        reference = LMModel(
            device="meta", dtype=torch.bfloat16, condition_provider=provider, fuser=fuser, **kwargs
        )
    assert keys_of(lm_entries(lm)) == shapes(reference.state_dict())
    assert sum(parameter.numel() for parameter in lm.parameters()) == 1_832_384_672
