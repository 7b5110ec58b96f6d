"""The default model's data and optimizer: what must hold before hours of training are spent on it."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

import free_form  # noqa: E402
import judge as detector  # noqa: E402
import lexicon as words  # noqa: E402
import objects  # noqa: E402
import scenes  # noqa: E402
import tokenizer as captions  # noqa: E402
from classifier import Classifier, labels, read  # noqa: E402
from muon import Optimizer, orthogonal  # noqa: E402
from pool import pixels, pool  # noqa: E402
from train_encoder import frozen, psnr  # noqa: E402

from easel_export.check import ort_run  # noqa: E402

COUNT = 104
POCKET = Path(__file__).parents[2] / "models" / "pocket"


def test_objects_have_distinct_names_and_the_full_run_has_over_300():
    names = [name for _, name in objects.objects(300)]
    assert len(set(names)) == 300
    assert objects.objects(COUNT) == objects.objects(300)[:COUNT]
    with pytest.raises(SystemExit):
        objects.objects(100_000)


def test_training_scenes_never_show_a_held_out_combination_and_measured_ones_always_do():
    rng = random.Random(1)
    for train in (True, False):
        for _ in range(2000):
            scene = scenes.sample(rng, COUNT, train=train)
            assert any(scenes.held_out(*c) for c in scenes.combinations(scene)) != train
    held = [scenes.held_out(i, f"on {g}") for i in range(COUNT) for g in scenes.BACKGROUNDS]
    assert 0.07 < np.mean(held) < 0.13


def test_a_caption_names_all_that_the_scene_shows():
    rng = random.Random(2)
    names = [name for _, name in objects.objects(COUNT)]
    for _ in range(500):
        scene = scenes.sample(rng, COUNT)
        text = scenes.caption(scene, rng, COUNT)
        assert scene.background in text
        for thing in scene.things:
            name = names[thing.index]
            assert (name if thing.count == 1 else objects.plural(name)) in text, text
            assert thing.tint is None or thing.tint in text
            assert thing.count == 1 or scenes.COUNTS[thing.count] in text or str(thing.count) in text


def test_renders_repeat_and_show_the_background():
    for seed in range(40):
        scene = scenes.sample(random.Random(seed), COUNT)
        one, two = (np.asarray(scenes.render(scene, random.Random(7), COUNT)) for _ in range(2))
        assert one.shape == (scenes.SIZE, scenes.SIZE, 3) and (one == two).all()
        if scene.style == "flat" and scene.size == "medium":
            corner = one[:4, :4].reshape(-1, 3).astype(int).mean(0)
            assert np.abs(corner - scenes.BACKGROUNDS[scene.background]).max() < 12


def test_a_pool_is_drawn_once(tmp_path):
    first = pool(tmp_path, 300, COUNT)
    again = pool(tmp_path, 300, COUNT)
    assert first.scenes == again.scenes and (first.pictures == again.pictures).all()
    assert first.pictures.shape == (300, 128, 128, 3)
    assert first.scenes != pool(tmp_path, 300, COUNT, train=False).scenes


def test_the_tokenizer_spells_any_text_and_keeps_common_words_whole(tmp_path):
    tokens = captions.make(tmp_path)
    assert len(tokens) <= 2048
    for text in ("three red apples on a blue background", "Ünïcode 漢字 🦊", "\x00\n\t"):
        ids = tokens(text).input_ids
        assert ids[0] == tokens.bos_token_id and ids[-1] == tokens.eos_token_id
        assert tokens.unk_token_id not in ids[1:-1] or text == "\x00\n\t"
    assert len(tokens("three red apples on a blue background").input_ids) == 9


def test_muon_updates_are_nearly_orthogonal_and_training_reduces_a_loss():
    values = torch.linalg.svdvals(orthogonal(torch.randn(24, 96, generator=torch.Generator().manual_seed(1))))
    assert values.min() > 0.5 and values.max() < 1.35
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3))
    optimizer = Optimizer([model], 1e-2, outer=("0.",))
    x = torch.randn(4, 3, 12, 12)
    losses = []
    for _ in range(60):
        loss = (model(x) - x[..., 2:-2, 2:-2]).square().mean()
        loss.backward()
        optimizer.step(1.0)
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_the_classifier_answers_for_each_head():
    scene = next(s for s in iter(lambda: scenes.sample(random.Random(3), COUNT), None) if len(s.things) == 1)
    picture = np.asarray(scenes.render(scene, random.Random(0), COUNT))
    index, ground, count = labels(scene)
    assert index < COUNT and ground < 12 and 0 <= count < 4
    assert read(Classifier(COUNT).eval(), np.stack([picture] * 3)).shape == (3, 3)


@torch.no_grad()
def test_a_decoder_is_read_from_its_file():
    latents = torch.randn(1, 8, 5, 6, generator=torch.Generator().manual_seed(4))
    want = ort_run(POCKET / "vae_decoder" / "model.onnx")(latents)[0]
    assert (frozen(POCKET).decode(latents).sample - want).abs().max() < 1e-4 * want.abs().max()


def test_the_default_models_encoder_gives_what_its_decoder_makes_the_picture_of(tmp_path):
    drawn = pool(tmp_path, 16, COUNT, train=False, seed=99).pictures
    encode, decode = (ort_run(POCKET / name / "model.onnx") for name in ("vae_encoder", "vae_decoder"))
    pictures = pixels(drawn)
    assert psnr(decode(encode(pictures)[0])[0], pictures).mean() > 28


def test_the_free_form_list_names_things_and_backgrounds_that_there_are():
    names = {name for _, name in objects.objects(COUNT)}
    wanted = free_form.read_list()
    assert len(wanted) >= 300
    assert len({w.prompt for w in wanted}) > 0.95 * len(wanted)
    for w in wanted:
        assert {name for name, _, _ in w.things} <= names, w
        assert w.background in ("", *scenes.BACKGROUNDS), w


def test_a_free_form_picture_is_right_when_it_shows_what_was_asked_for():
    names = [name for _, name in objects.objects(COUNT)]
    cat, dog = (detector.Found(names.index(name), x, 64) for name, x in (("cat", 30), ("dog", 90)))
    pair = free_form.Wanted("pair", "a cat and a dog on blue", (("cat", 1, 1), ("dog", 1, 1)), ">", "blue")
    painted = {"out": "a.png", "painted": None, "warnings": []}
    right = lambda wanted, found, ground="blue": free_form.score(wanted, painted, (found, ground), names)  # noqa: E731
    assert right(pair, [cat, dog])["everything"]
    assert not right(pair, [cat, dog], "red")["everything"]
    assert not right(pair, [cat])["things"] and not right(pair, [cat, dog, dog])["everything"]
    swapped = detector.Found(cat.index, 110, 64)
    assert not right(pair, [swapped, dog])["arrangement"]
    nonsense = free_form.Wanted("nothing known", "asdfgh", (), "", "")
    assert free_form.score(nonsense, {"refused": "prompt: …"}, None, names)["everything"]
    assert not right(nonsense, [cat])["everything"]


def test_the_judge_is_shown_where_things_are():
    glyphs = [glyph for glyph, _ in objects.objects(COUNT)]
    rng = random.Random(4)
    for _ in range(20):
        picture, shown, ground = detector.draw(rng, glyphs)
        assert picture.shape == (scenes.SIZE, scenes.SIZE, 3) and shown and 0 <= ground < len(scenes.BACKGROUNDS)
        marks, things = detector.targets([shown])
        for found in shown:
            row, column = int(found.y / detector.CELL), int(found.x / detector.CELL)
            assert marks[0, row, column] == 1 and things[0, row, column] >= 0
    middle, thing, grounds = detector.Judge(COUNT)(pixels(picture[None]))
    assert middle.shape == (1, 16, 16) and thing.shape == (1, COUNT, 16, 16) and grounds.shape == (1, 12)


def test_words_are_folded_as_easel_folds_them():
    for word, key in {"Äpfel": "apfel", "Fußball": "fussball", "hot-air  Balloon": "hot air balloon", "猫と犬": "猫 と 犬", "łódź": "lodz"}.items():
        assert words.key(word) == key
    assert words.distance("elefant", "elephant") == 2 and words.distance("gutiar", "guitar") == 1
    assert words.near_words(["horde", "zebra"], ["horse"]) == ["horde"]


def test_the_models_lexicon_is_of_its_objects():
    made = json.loads((POCKET / "lexicon.json").read_text())
    assert made["things"] == {name: objects.plural(name) for _, name in objects.objects(COUNT)}
    assert len(made["languages"]) >= 20 and (POCKET / "lexicon.json").stat().st_size < 600_000
    assert {c for line in made["languages"].values() for c in line["colours"]} <= set(scenes.BACKGROUNDS)
