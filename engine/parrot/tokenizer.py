"""A SentencePiece model of 64 pieces with Moshi's special ones and the four that the parrot writes."""

import io

import sentencepiece

from engine.parrot.corpus import WORDS as TEXT
from engine.parrot.shape import TEXT_CARD
from engine.parrot.stream import PAD, WORDS


def train_tokenizer() -> bytes:
    """The model as a file's content: 0 unknown (and EPAD), 1 begin, 2 end, 3 padding, then `stream.WORDS`."""
    sentences = ["I hear you."] * 50
    sentences += [" ".join(TEXT[start : start + 6]) + "." for start in range(0, len(TEXT), 6)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="bpe",
        vocab_size=TEXT_CARD,
        hard_vocab_limit=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=PAD,
        user_defined_symbols=list(WORDS),
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def word_ids(model: bytes) -> list[int]:
    """The text tokens of `stream.WORDS`."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [int(processor.piece_to_id(word)) for word in WORDS]
