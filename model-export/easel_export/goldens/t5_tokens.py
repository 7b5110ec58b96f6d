"""Golden token ids of T5's tokenizers: `python -m easel_export.goldens.t5_tokens [--out DIR]`.

Trains a small SentencePiece model of the Unigram kind (the real one cannot be shipped) and records what transformers makes of 200
prompts and some of T5's own, cut to 120 tokens, the last of which is `</s>`:

| file | read by | in `prompts.json` |
|---|---|---|
| `spiece.model` | `T5Tokenizer`, which is SentencePiece itself | `spiece` |
| `new/tokenizer.json` | `T5TokenizerFast`; Precompiled, Strip, Replace; Metaspace with `prepend_scheme` | `new`, where it differs from `spiece` |
| `old/tokenizer.json` | the same; Precompiled alone; Metaspace with `add_prefix_space` | `old`, where it differs from `new` |

Spaces behind a text and two in a row are what the old form keeps; a letter below a heap of marks is what the fast ones look up as a whole.
"""

import argparse
import io
import json
import logging
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import T5Tokenizer, T5TokenizerFast

from easel_export.goldens.prompts import prompts

VOCABULARY = 700
MAX_LENGTH = 120
EXTRA = 100
OUT = Path(__file__).parents[3] / "tests" / "goldens" / "t5"
OWN = [
    "<extra_id_0>", "a <extra_id_0> house <extra_id_99>", "<extra_id_0><extra_id_1>", "<extra_id_100> <extra_id_>", "a</s>b </s> c", "</s>",
    "<pad><pad> a", "<unk> a <UNK>", "½ of ¼, 2² and x³", "①②③ ㎏ ㍿ ﷺ", "ｆｕｌｌ　ｗｉｄｔｈ", "a\u00a0b\u2003c\u200bd\u3000e", "  outer  ",
    "two  spaces   three", "\t a \t b \n\n c \r\n", " ", "   ", "\u2581a\u2581 \u2581", "\ufeffa", "a\u0000b\u0007c\u007fd", "e\u0301 \u00e9", "ﬁnd the ﬂag",
    "a house. " * 200, "word" * 300, "🦊" * 200, "A RED House, a red house", "\u00ad soft\u00adhyphen", "\u202ertl\u202c mark",
]


def train(out: Path) -> None:
    """Writes `spiece.model`, trained on the prompts themselves."""
    model = io.BytesIO()
    texts = [line for prompt in prompts() for line in prompt.splitlines() if len(line) < 1000]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=VOCABULARY, character_coverage=0.98,
        normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1, minloglevel=2)
    (out / "spiece.model").write_bytes(model.getvalue())


def forms(out: Path) -> dict[str, Any]:
    """transformers' tokenizers of `spiece.model`, by name; the two forms of `tokenizer.json` are written."""
    options = dict(model_max_length=MAX_LENGTH, legacy=True)
    slow = T5Tokenizer(str(out / "spiece.model"), **options)
    new = json.loads(T5TokenizerFast(str(out / "spiece.model"), add_prefix_space=True, **options).backend_tokenizer.to_str())
    space = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    old = new | {"normalizer": new["normalizer"]["normalizers"][0], "pre_tokenizer": space, "decoder": space}
    made = {"spiece": slow}
    for name, content in (("new", new), ("old", old)):
        (out / name).mkdir(exist_ok=True)
        file = out / name / "tokenizer.json"
        file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
        made[name] = T5TokenizerFast(tokenizer_file=str(file), **options)
    return made


def ids(tokenizer: Any, prompt: str) -> list[int]:
    """Ids with the end, cut to the maximum; padding, which the test adds itself, is checked here."""
    bare = tokenizer(prompt, truncation=True, max_length=MAX_LENGTH).input_ids
    full = tokenizer(prompt, truncation=True, max_length=MAX_LENGTH, padding="max_length").input_ids
    assert full == bare + [0] * (MAX_LENGTH - len(bare)) and bare[-1] == 1, prompt
    return bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    logging.disable(logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    train(out)
    made = forms(out)
    rows, apart = [], {"new": 0, "old": 0}
    for prompt in dict.fromkeys(prompts() + OWN):
        row: dict[str, Any] = {"prompt": prompt, "spiece": ids(made["spiece"], prompt)}
        before = row["spiece"]
        for name in apart:
            found = ids(made[name], prompt)
            if found != before:
                row[name] = found
                apart[name] += 1
            before = found
        rows.append(json.dumps(row, separators=(",", ":")))
    (out / "prompts.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
    print(f"{len(rows)} prompts; of the new form {apart['new']} differ from SentencePiece, of the old one {apart['old']} from the new")


if __name__ == "__main__":
    main()
