"""Make the default model's tokenizer: byte-level BPE in CLIP's layout, learned from the captions."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Regex
from transformers import CLIPTokenizer

import scenes
from objects import GLYPHS, name_of, plural

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 32


def make(directory: Path, vocabulary: int = 2048) -> CLIPTokenizer:
    """Train on captions over all objects, write `vocab.json`, `merges.txt`, `tokenizer.json`; return the loaded tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    bpe = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=EOS))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(words), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    bpe.decoder = decoders.ByteLevel()
    rng = random.Random(3)
    count = 300
    text = [scenes.caption(scenes.sample(rng, count), rng, count) for _ in range(30000)]
    text += [f"{name_of(g)} {plural(name_of(g))}" for g in GLYPHS] * 20
    # Single bytes also end words, so every input has a spelling.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(alphabet) - 2, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(text, trainer)
    learned = json.loads(bpe.to_str())["model"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    # CLIP's order: bytes, bytes that end a word, merges, the two special tokens.
    order = [*alphabet, *(a + "</w>" for a in alphabet), *("".join(m) for m in merges)]
    tokens = list(dict.fromkeys(order)) + [BOS, EOS]
    vocab = {token: index for index, token in enumerate(tokens)}
    (directory / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    bpe.model = models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=EOS)
    bpe.add_special_tokens([BOS, EOS])
    bpe.post_processor = processors.RobertaProcessing(
        sep=(EOS, vocab[EOS]), cls=(BOS, vocab[BOS]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer = CLIPTokenizer(str(directory / "vocab.json"), str(directory / "merges.txt"), model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(directory)
    bpe.save(str(directory / "tokenizer.json"))
    return tokenizer
