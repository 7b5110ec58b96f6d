"""From a diffusers checkpoint to a model directory that easel paints with.

The data's way, one module a stage:

    checkpoint ─► painting (calibration) ─► sensitivity (which layers) ─► export (ONNX) ─► check ─► manifest

- `families`: one description each: networks, tokenizers, what fits together, defaults. What easel can run is told there alone.
- `networks`: the kinds of networks, their inputs and outputs by optimum's names, and how a pipeline calls them.
- `t5`, `diffusion_transformers`: those of transformers; `t5_tokenizer`, a small one of T5's kind for sources with random weights.
- `adapters`: networks from other checkpoints that paint together with these: `controlnet`, `ip_adapter` and its `image_encoder`; `conditioned`, the
  U-Net that takes what they give; `random_adapters`, such with random weights.
- `checkpoint`: finds a source, knows its family, loads it. `architectures`, `random_checkpoint`: sources with random weights.
- `painting`: diffusers' own pipeline with exchanged networks. It gathers calibration
  inputs with torch and later checks ONNX Runtime against them.
- `quantize`, `sensitivity`: int8 arithmetic, and which layers may have it.
- `export`, `graph`: torch to ONNX, weights rewritten and laid out for mapping.
- `hollow`: the same with one weight in memory at a time, for single networks and very large models.
- `convert`: the way through all of them; `directory`, `layout`: the files around the weights.
- `check`: torch against ONNX Runtime on the written files.
- `manifest`, `checksums`: `easel.json`, what the directory says about itself, and `SHA256SUMS`, what its files were.
"""

__version__ = "0.1.0"


class ExportError(Exception):
    """The work failed; the message is one line that says what, where and what to do."""


class UsageError(ExportError):
    """The call itself is wrong: bad arguments, or a source that can never be exported."""
