"""MiniT2I's checkpoints: the published names, and the weights' way from JAX. What the network computes, the golden data shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from easel_export import minit2i_jax
from easel_export.architectures import ARCHITECTURES
from easel_export.minit2i import MiniT2IMMJiTModel

KINDS = ("tiny-minit2i", "tiny-minit2i-student")


def network(kind: str) -> MiniT2IMMJiTModel:
    torch.manual_seed(0)
    return MiniT2IMMJiTModel(**ARCHITECTURES[kind].parts["transformer"][1]).eval()


def weights(module: MiniT2IMMJiTModel) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def flax_tree(module: MiniT2IMMJiTModel) -> dict[str, Any]:
    """Empty, with the names and shapes that the authors' network has for this one, and two layers more."""
    tree: dict[str, Any] = {"t_embedder": {"mlp": {"layers_0": {"_flax_linear": {"kernel": np.zeros((4, 2))}}}},
                            "pooled_embedder": {"_flax_linear": {"kernel": np.ones((4, 2))}}}
    for name, value in weights(module).items():
        *parts, last = name.removeprefix("model.net.").split(".")
        parts = [f"layers_{part}" if part.isdigit() else part for part in parts]
        if last.endswith(("_tokens", "_token")):
            path = (last, "_flax_param", "param_tensor")
        elif value.ndim == 4:
            path = (*parts, "kernel")
        elif parts[-1].startswith("proj"):
            path = (*parts, last)
        else:
            path = (*parts, "_flax_rmsnorm" if "norm" in parts[-1] else "_flax_linear", {"weight": "kernel"}.get(last, last))
        shape = [value.shape[at] for at in (2, 3, 1, 0)] if value.ndim == 4 else value.shape
        minit2i_jax._put(tree, path, np.zeros(shape[::-1] if value.ndim == 2 else shape))
    return tree


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_to_jax_and_back(kind: str) -> None:
    named = weights(network(kind))
    tree = minit2i_jax.to_flax(named, flax_tree(network(kind)))
    assert tree["txt_embedder"]["_flax_linear"]["kernel"].shape == (64, 48)
    assert tree["pooled_embedder"]["_flax_linear"]["kernel"].all()  # is there, and nothing says what it should be
    back = minit2i_jax.to_torch(tree)
    assert set(back) - set(named) == {"model.net.t_embedder.mlp.0.weight", "model.net.pooled_embedder.weight"}
    assert all(np.array_equal(back[name], value) for name, value in named.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_from_jax_is_the_same_network(kind: str, tmp_path: Path) -> None:
    module = network(kind)
    named = minit2i_jax.to_torch(minit2i_jax.to_flax(weights(module), flax_tree(module)))
    save_file({name: torch.from_numpy(value) for name, value in named.items()}, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(minit2i_jax.configuration(named, 24)))
    loaded = MiniT2IMMJiTModel.from_pretrained(tmp_path).eval()
    given = (torch.randn(1, 3, 16, 24), torch.randn(1, 7, 64), torch.tensor([[1] * 5 + [0] * 2]), torch.tensor([0.5]))
    more = (torch.tensor([0.25]), torch.tensor([6.0]), torch.tensor([[0.2, 0.8]])) if loaded.config.mean_flow else ()
    with torch.no_grad():
        assert torch.equal(module(*given, *more)[0], loaded(*given, *more)[0])


def test_what_the_published_checkpoint_says_beside_is_ignored(tmp_path: Path) -> None:
    network("tiny-minit2i").save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    trained_along = {f"model.net.{name}.weight": torch.zeros(2, 2) for name in ("t_embedder.mlp.0", "pooled_embedder")}
    save_file(load_file(file) | trained_along, file)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"cond_vec_size": 48, "n_T": 100, "llm": "google/flan-t5-large"}))
    _, info = MiniT2IMMJiTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]
