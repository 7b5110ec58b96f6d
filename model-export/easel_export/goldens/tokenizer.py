"""Golden token ids: `python -m easel_export.goldens.tokenizer [--out DIR]`.

Trains a small byte-level BPE in CLIP's layout (the real one cannot be shipped) and records what
transformers' `CLIPTokenizer` (slow, without ftfy) and `CLIPTokenizerFast` make of 200 prompts, once with
Stable Diffusion 1.x's special tokens and once with 2.x's, which pad with "!".
"""

import argparse
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, CLIPTokenizerFast
from transformers.models.clip.tokenization_clip import bytes_to_unicode

from easel_export.goldens.prompts import prompts, same_in_all_versions

MERGES = 1200
MAX_LENGTH = 77
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
OUT = Path(__file__).parents[3] / "tests" / "goldens" / "tokenizer"

# As the Stable Diffusion repositories have them: in 2.x the map overrides the config's pad token.
CONFIG = {
    "bos_token": {"__type": "AddedToken", "content": BOS, "lstrip": False, "normalized": True,
                  "rstrip": False, "single_word": False},
    "eos_token": {"__type": "AddedToken", "content": EOS, "lstrip": False, "normalized": True,
                  "rstrip": False, "single_word": False},
    "unk_token": {"__type": "AddedToken", "content": EOS, "lstrip": False, "normalized": True,
                  "rstrip": False, "single_word": False},
    "pad_token": EOS, "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
    "model_max_length": MAX_LENGTH, "tokenizer_class": "CLIPTokenizer",
}
MAPS = {kind: {"bos_token": CONFIG["bos_token"], "eos_token": CONFIG["eos_token"],
               "unk_token": CONFIG["unk_token"], "pad_token": pad}
        for kind, pad in (("sd1", EOS), ("sd2", "!"))}
for _map in MAPS.values():
    for _key in ("bos_token", "eos_token", "unk_token"):
        _map[_key] = {k: v for k, v in _map[_key].items() if k != "__type"}


def train(out: Path) -> None:
    """Writes `vocab.json` and `merges.txt`, ids in CLIP's order, trained on the prompts themselves."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=512 + MERGES, end_of_word_suffix="</w>", show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=1)
    # Words apart: CLIP knows no leading spaces.
    words = [word.lower() for prompt in prompts() for word in prompt.split() if len(word) < 200]
    tokenizer.train_from_iterator(words, trainer)
    merges = [tuple(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]][:MERGES]
    letters = list(bytes_to_unicode().values())
    tokens = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges] + [BOS, EOS]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (out / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(out: Path, kind: str) -> tuple[CLIPTokenizer, CLIPTokenizerFast]:
    """Both implementations over the files in `out` with the special tokens of `kind`."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(out / name, Path(directory) / name)
        for source in (out / kind).iterdir():
            shutil.copyfile(source, Path(directory) / source.name)
        return CLIPTokenizer.from_pretrained(directory), CLIPTokenizerFast.from_pretrained(directory)


def ids(tokenizer: CLIPTokenizer | CLIPTokenizerFast, prompt: str) -> list[int]:
    """Ids with BOS and EOS, cut to the maximum; padding, which the test adds itself, is checked here."""
    bare = tokenizer(prompt, truncation=True, max_length=MAX_LENGTH).input_ids
    full = tokenizer(prompt, truncation=True, max_length=MAX_LENGTH, padding="max_length").input_ids
    assert full == bare + [tokenizer.pad_token_id] * (MAX_LENGTH - len(bare)), prompt
    return bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    if importlib.util.find_spec("ftfy"):
        raise SystemExit("ftfy is installed: uninstall it, the slow tokenizer cleans text otherwise with it")
    strange = [prompt for prompt in prompts() if not same_in_all_versions(prompt)]
    if len(prompts()) != 200 or strange:
        raise SystemExit(f"expected 200 prompts of known characters, got {len(prompts())}, unknown in {strange!r}")
    out.mkdir(parents=True, exist_ok=True)
    train(out)
    for kind, special in MAPS.items():
        (out / kind).mkdir(exist_ok=True)
        (out / kind / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
        (out / kind / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")
    tokenizers = {kind: load(out, kind) for kind in MAPS}
    backend = json.loads(tokenizers["sd1"][1].backend_tokenizer.to_str())
    backend["truncation"] = backend["padding"] = None  # what the last call asked for, not the file's
    (out / "tokenizer.json").write_text(
        json.dumps(backend, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    # An absent "sd2" equals "sd1", an absent "…_fast" equals the slow ids of its kind.
    rows, differ = [], 0
    for prompt in prompts():
        row = {"prompt": prompt}
        for kind, (slow, fast) in tokenizers.items():
            row[kind] = ids(slow, prompt)
            quick = ids(fast, prompt)
            if quick != row[kind]:
                row[f"{kind}_fast"] = quick
                differ += 1
        if row["sd1"] == row["sd2"]:
            del row["sd2"]
        rows.append(json.dumps(row, separators=(",", ":")))
    (out / "prompts.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
    print(f"{len(rows)} prompts, slow and fast differ on {differ} of {len(rows) * len(MAPS)}")


if __name__ == "__main__":
    main()
