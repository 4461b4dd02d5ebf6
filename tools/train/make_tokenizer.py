"""Train the byte-level BPE tokenizer on generated text and save tokenizer.json.

Usage: python make_tokenizer.py OUT_DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from corpus import BEGIN, SPECIALS, World

VOCAB = 1024


def texts(count: int = 12000, seed: int = 4242):
    """Samples of many lengths, without the special tokens."""
    world = World(seed)
    world.invented = [0.0, 0.1]
    world.skip = {"nonsense", "nonsense2"}
    for i in range(count):
        text = world.sample(world.rng.choice([200, 600, 1500]), talk_share=0.12).text
        for special in SPECIALS:
            text = text.replace(special, "")
        yield text


def build() -> Tokenizer:
    """Train the tokenizer; deterministic for a given tokenizers version."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(texts(), trainer)
    tok.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, tok.token_to_id(BEGIN))])
    return tok


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build()
    tokenizer.save(str(out / "tokenizer.json"))
    sample = World(7).sample(1000, talk_share=0).text
    ids = tokenizer.encode(sample).ids
    print(f"vocab {tokenizer.get_vocab_size()}, {len(sample) / len(ids):.2f} characters per token")
