"""MiniT2I's weights between the authors' JAX code and `minit2i.py`.

    python -m easel_export.minit2i_jax CHECKPOINT OUT        a published JAX checkpoint becomes OUT/transformer

The student is published for JAX alone. A checkpoint is Flax's, or the folder that has it; of a training run, the average of its weights
is taken, of a student, the student. Needs `pip install flax orbax-checkpoint safetensors`, and not torch.

Both name layers alike. Flax keeps matrices as [in, out] and kernels as [rows, columns, in, out].
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Tree = Mapping[str, Any]
# What Flax puts between a layer and its parameters.
_WRAPPERS = {"_flax_linear", "_flax_rmsnorm", "_flax_param"}
# Of a convolution [rows, columns, in, out] to [out, in, rows, columns], and back.
_KERNEL, _KERNEL_BACK = (3, 2, 0, 1), (2, 3, 1, 0)
_NET = "model.net."


def _leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), np.asarray(value)


def to_torch(tree: Tree) -> dict[str, np.ndarray]:
    """The parameters of a Flax network by the names of `minit2i.py`."""
    named = {}
    for path, value in _leaves(tree):
        parts = [re.sub(r"^layers_(\d+)$", r"\1", part) for part in path if part not in _WRAPPERS]
        if parts[-1] == "param_tensor":
            parts.pop()
        elif parts[-1] == "kernel":
            parts[-1] = "weight"
            value = value.transpose(_KERNEL[: value.ndim] if value.ndim == 4 else tuple(range(value.ndim))[::-1])
        named[_NET + ".".join(parts)] = np.ascontiguousarray(value, np.float32)
    return named


def to_flax(named: Mapping[str, np.ndarray], like: Tree) -> dict[str, Any]:
    """The other way round: a tree like `like`, of which what nothing reads stays as it is."""
    made: dict[str, Any] = {}
    used = set()
    for path, own in _leaves(like):
        (name,) = to_torch(_nested(path, own))
        value = named.get(name)
        if value is None:
            value = own
        else:
            used.add(name)
            if path[-1] == "kernel":
                value = value.transpose(_KERNEL_BACK if value.ndim == 4 else tuple(range(value.ndim))[::-1])
            assert value.shape == own.shape, f"{name}: {value.shape}, not {own.shape}"
        _put(made, path, value)
    assert used == set(named), f"not in the network: {sorted(set(named) - used)[:3]}"
    return made


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    _put(made, path, value)
    return made


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def read(checkpoint: Path) -> Tree:
    """The network's parameters of a checkpoint."""
    from flax.training import checkpoints

    folder = checkpoint / "checkpoint" if (checkpoint / "checkpoint").exists() else checkpoint
    payload = checkpoints.restore_checkpoint(str(folder.absolute()), target=None)
    if not isinstance(payload, Mapping):
        raise SystemExit(f"{checkpoint}: no checkpoint of MiniT2I is in it: give the folder that `hf download` made")
    averages = payload.get("ema_params_dict") or {}
    tree = averages[sorted(averages)[-1]] if averages else payload.get("ema_params") or payload["params"]
    if "net" not in tree:
        raise SystemExit(f"{checkpoint}: has no network `net`: it is no checkpoint of MiniT2I")
    return tree["net"]


def configuration(named: Mapping[str, np.ndarray], image_size: int) -> dict[str, Any]:
    """What `config.json` says, by the shapes of the weights; of the heads' width there is the norm of queries."""
    def shape(name: str) -> tuple[int, ...]:
        return named[_NET + name].shape

    def count(blocks: str) -> int:
        return len({name.split(".")[3] for name in named if name.startswith(f"{_NET}{blocks}.")})

    width, features = shape("txt_embedder.weight")[0], shape("double_blocks.0.q_norm.weight")[0]
    narrow, channels, patch, _ = shape("img_embedder.proj1.weight")
    values = {
        "_class_name": "MiniT2IMMJiTModel", "image_size": image_size, "patch_size": patch, "in_channels": channels,
        "txt_input_size": shape("txt_embedder.weight")[1], "hidden_size": width, "depth_double": count("double_blocks"),
        "txt_preamble_depth": count("txt_preamble_blocks"), "num_heads": width // features, "head_dim": features,
        # Rounded up to eights from it.
        "mlp_ratio": shape("double_blocks.0.img_mlp.w1.weight")[0] / width, "pca_channels": narrow,
    }
    if f"{_NET}h_embedder.mlp.0.weight" in named:
        prefix = [shape(f"{name}_tokens")[1] for name in ("context", "omega", "t_min", "t_max", "time")]
        values |= {"mean_flow": True, "prefix_tokens": prefix}
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--image-size", type=int, default=512, help="pixels each way that the network was trained with (default 512)")
    options = parser.parse_args()
    from safetensors.numpy import save_file

    named = to_torch(read(options.checkpoint))
    folder = options.out / "transformer"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(named, str(folder / "diffusion_pytorch_model.safetensors"), metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(configuration(named, options.image_size), indent=2) + "\n")
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
