"""Paints with the authors' JAX code of MiniT2I; see `minit2i.py`, which runs this with a Python that has JAX.

    PYTHON minit2i_jax_painter.py REPOSITORY GIVEN.npz TOLD.json PAINTED.npy

Writes the pixels after each step, float32 [steps, 3, h, w] in the authors' scale. Network, step, guidance and the division that makes
a velocity of a picture are theirs; ours are the weights, the noise and the loop over their steps.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NOISE_SCALE = 2.0


def names() -> Any:
    """`minit2i_jax.py`, by its file: the package around it needs torch."""
    path = Path(__file__).parents[1] / "minit2i_jax.py"
    spec = importlib.util.spec_from_file_location("minit2i_jax", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_from(repository: str) -> None:
    """Makes the authors' modules importable. What they log with wants services that nothing here uses."""
    sys.path.insert(0, repository)
    logging = types.ModuleType("utils.logging_util")
    logging.print0 = logging.log_for_0 = lambda *_args, **_options: None
    logging.Emoji = type("Emoji", (), {})
    sys.modules["utils.logging_util"] = logging
    # They were written for JAX before 0.6, which called the least value so.
    own = jnp.clip
    jnp.clip = lambda x, *bounds, a_min=None, **options: own(x, a_min, *bounds, **options) if a_min is not None else own(
        x, *bounds, **options)


def options(config: dict[str, Any]) -> dict[str, Any]:
    """What their network is made with."""
    same = ("patch_size", "in_channels", "txt_input_size", "hidden_size", "depth_double", "txt_preamble_depth", "num_heads",
            "head_dim", "mlp_ratio", "pca_channels")
    return {key: config[key] for key in same} | {"txt_hidden_size": config["hidden_size"]}


def main() -> None:
    repository, given, told, out = sys.argv[1:]
    import_from(repository)
    given, told = np.load(given), json.loads(Path(told).read_text())
    config = told["config"]
    named = {name.removeprefix("weights/"): given[name] for name in given.files if name.startswith("weights/")}
    size, steps = config["image_size"], told["steps"]
    pixels = jnp.asarray(given["noise"].transpose(1, 2, 0)[None]) * NOISE_SCALE
    text, mask = jnp.asarray(given["text"]), jnp.asarray(given["mask"], jnp.float32)
    kind = dict(model_str="MMJiT_B_16_txt2", llm_str="debug-llm", model_config=options(config), image_size=size)
    paint = student if config["mean_flow"] else teacher
    painted = []
    for pixels in paint(kind, named, pixels, text, mask, steps, told):
        painted.append(np.asarray(pixels)[0].transpose(2, 0, 1))
    np.save(out, np.stack(painted).astype(np.float32))


def teacher(kind: dict[str, Any], named: dict[str, np.ndarray], pixels: Any, text: Any, mask: Any, steps: int, told: dict[str, Any]) -> Any:
    """`SimDDPM.sample_one_step`, or, with a negative prompt, its two halves."""
    from diffusion import SimDDPM

    model = SimDDPM(**kind, n_T=steps, prediction="x", a_min=0.05, noise_scale=NOISE_SCALE)
    first = (text[:1], mask[:1])
    made = model.init(jax.random.PRNGKey(0), pixels, jnp.zeros(1), *first)
    params = {"params": {"net": names().to_flax(named, made["params"]["net"])}}
    levels = jnp.linspace(0.0, 1.0, steps + 1, dtype=jnp.float32)
    for index in range(steps):
        if float(jnp.abs(mask[1:]).sum()) == 0:
            pixels = model.apply(params, pixels, jax.random.PRNGKey(0), index, levels, *first, told["guidance"],
                                 method=model.sample_one_step)
        else:
            both = [jnp.concatenate([value, value]) for value in (pixels, levels[index : index + 1])]
            velocity, other = jnp.split(model.apply(params, *both, text, mask), 2)
            velocity = other + (velocity - other) * told["guidance"]
            pixels = pixels + (levels[index + 1] - levels[index]) * velocity
        yield pixels


def student(kind: dict[str, Any], named: dict[str, np.ndarray], pixels: Any, text: Any, mask: Any, steps: int, told: dict[str, Any]) -> Any:
    """`PixelMeanFlow.sample_one_step`."""
    from models.mean_flow import PixelMeanFlow

    model = PixelMeanFlow(**kind, noise_scale=NOISE_SCALE)
    made = model.init(jax.random.PRNGKey(0), pixels, jnp.ones(1), text[:1])
    params = {"params": {"net": names().to_flax(named, made["params"]["net"]), "pt_net": made["params"]["pt_net"]}}
    levels = jnp.linspace(1.0, 0.0, steps + 1)
    ends = [jnp.asarray(end) for end in told["interval"]]
    for index in range(steps):
        pixels = model.apply(params, pixels, i=index, t_steps=levels, omega=jnp.asarray(told["guidance"]), t_min=ends[0], t_max=ends[1],
                             text_embeddings=text[:1], attn_masks=mask[:1], method=model.sample_one_step)
        yield pixels


if __name__ == "__main__":
    main()
