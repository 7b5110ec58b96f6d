"""From a diffusers Stable Diffusion checkpoint to a model directory that easel paints with.

The data's way, one module a stage:

    checkpoint ─► loop (calibration) ─► quantize (which layers) ─► export (ONNX) ─► check ─► manifest

- `checkpoint`: loads and validates a source, or makes one with random weights.
- `loop`: the denoising loop, written once over any engine. It gathers calibration
  inputs with torch and later checks ONNX Runtime against them.
- `quantize`: int8 arithmetic and the per-layer sensitivity test.
- `export`: torch to ONNX, weights rewritten and laid out for mapping.
- `convert`: the way through all of them; `directory`, `layout`: the files around the weights.
- `check`: torch against ONNX Runtime on the written files.
- `manifest`, `checksums`: `easel.json`, what the directory says about itself, and `SHA256SUMS`, what its files were.
"""

__version__ = "0.1.0"


class ExportError(Exception):
    """The work failed; the message is one line that says what, where and what to do."""


class UsageError(ExportError):
    """The call itself is wrong: bad arguments, or a source that can never be exported."""
