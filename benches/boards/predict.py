"""Seconds that painting should take on boards nobody here has: computed, not measured.

    python3 benches/boards/predict.py            # the tables
    python3 benches/boards/predict.py --write    # into docs/performance-on-boards.md, between its markers
    python3 benches/boards/predict.py --check    # is the page what this computes?

From what a pass asks for (`work.json`, by `count.py`) and what a board gives (`figures.py`), a network takes the longest of three: its
arithmetic, its traffic with memory, and its weights' way from the card where they do not stay. Standard library only.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import figures
from figures import BOARDS, CORES, CORES_OF_A_BOARD, COUNTED, HERE_MEASURED, SCALING, Board, Pair

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/performance-on-boards.md"
WORK = json.loads((HERE / "work.json").read_text())
F32 = 4  # bytes
FAVOURABLE, UNFAVOURABLE = 0, 1
# docs/tiles.md: where memory is short the decoder sees 4 tiles of 36x36 of 64x64 latents.
TILED = 4 * 36 * 36 / 64**2
# What the system and the rest of easel take beside weights, MiB.
BESIDE = 400


@dataclass(frozen=True)
class Model:
    """A way to paint."""

    name: str
    title: str
    steps: tuple[int, ...]
    guided: bool
    small: bool = False


MODELS = (
    Model("sd15", "Stable Diffusion 1.5, 512x512, guided", (20,), True),
    Model("sd-turbo", "SD-Turbo with TAESD, 512x512, without guidance", (1, 4), False),
    Model("sdxl-turbo", "SDXL-Turbo with TAESD, 512x512, without guidance", (1, 4), False),
    Model("pixart", "PixArt-alpha with TAESD, 512x512, guided", (20,), True),
    Model("minit2i-student", "MiniT2I, the student, 512x512, without a second pass", (4,), False),
    Model("minit2i", "MiniT2I, 512x512, guided", (100,), True),
    Model("sd35-medium", "Stable Diffusion 3.5 medium without T5, with TAESD, 512x512, guided", (28,), True),
    Model("pocket", "the default model, 128x128, guided", (10,), True, small=True),
)


def products(work: dict) -> int:
    """int8 multiply-accumulates as they are run: 16-bit activations take two."""
    return work.get("pixel_int8_mac", 0) + work.get("window_int8_mac", 0) + 2 * work.get("window_int16_mac", 0)


def elements(work: dict) -> int:
    """Numbers that are read or written outside of products' loops."""
    kinds = ("product_read", "product_written", "normed", "activated", "added", "copied")
    return sum(work.get(kind, 0) for kind in kinds)


def traffic(work: dict) -> int:
    """Bytes read and written if no tensor stays in a cache. A norm and a copy read and write, an activation is part of its neighbour."""
    numbers = work["product_read"] + work["product_written"] + work.get("added", 0)
    return F32 * (numbers + 2 * work.get("normed", 0) + 2 * work.get("copied", 0))


def an_element(family: str) -> float:
    """Instructions of an element, from those counted of the default model's U-Net."""
    counted, loops, floats = COUNTED[family]
    return (counted - loops - floats) * 1e6 / elements(WORK["pocket"]["unet"])


def seconds(board: Board, work: dict, passes: int, streamed: bool, which: int) -> tuple[float, str]:
    """A network on so many pictures at once, and what it waits for."""
    core = CORES[board.core]
    attention = work.get("attention_qk_mac", 0) + work.get("attention_pv_mac", 0)
    scores = work.get("scores", 0)
    features = work["attention_qk_mac"] / scores if scores else 1
    cycles = products(work) / core.int8[which]
    cycles += attention / core.attention[which](features) + scores * core.score[which]
    cycles += elements(work) * an_element(core.family) / core.instructions[which]
    limits = {
        "arithmetic": passes * cycles / (board.ghz * 1e9 * CORES_OF_A_BOARD * SCALING[which]),
        "memory": (passes * traffic(work) + work["weights"]) / (board.memory * 1e6),
        "card": work["weights"] / (board.card * 1e6) if streamed else 0.0,
    }
    limit = max(limits, key=limits.__getitem__)
    return limits[limit], limit


def here(work: dict) -> Pair:
    """The same on this project's machine, in memory."""
    both: list[float] = []
    for which in (FAVOURABLE, UNFAVOURABLE):
        time = products(work) / figures.HERE_INT8
        time += work.get("attention_qk_mac", 0) / figures.HERE_INT8 + work.get("attention_pv_mac", 0) / figures.HERE_BF16
        instructions = elements(work) * an_element("neon")
        instructions += work.get("scores", 0) * CORES["Cortex-A72"].score[0] * 1.5
        clock = 2 * figures.HERE_SCALING * figures.HERE_CLOCK
        time += instructions / figures.HERE_LANES / figures.HERE_INSTRUCTIONS[which] / clock
        both.append(max(time, (traffic(work) + work["weights"]) / figures.HERE_MEMORY))
    return both[0], both[1]


def denoiser(model: Model) -> str:
    """The network of the steps."""
    return "transformer" if "transformer" in WORK[model.name] else "unet"


def fits(board: Board, networks: list[dict]) -> bool:
    """Whether the weights of these stay in memory together."""
    weights = sum(network["weights"] for network in networks)
    return weights / 2**20 + BESIDE < board.ram


def picture(board: Board, model: Model, steps: int, which: int) -> dict[str, float | str]:
    """Seconds of a picture by stage, everything loaded that stays loaded. Where not all networks fit together, each is read when it is
    needed; the one of the steps stays for all of them if it fits alone."""
    networks = WORK[model.name]
    apart, texts = not fits(board, list(networks.values())), 1 + model.guided
    encoders = [network for name, network in networks.items() if name.startswith("text_encoder")]
    text = sum(seconds(board, encoder, texts, apart, which)[0] for encoder in encoders)
    steady = networks[denoiser(model)]
    streamed = not fits(board, [steady])
    step, limit = seconds(board, steady, texts, streamed, which)
    read = steady["weights"] / (board.card * 1e6) if apart and not streamed else 0.0
    decode = 0.0
    if "vae_decoder" in networks:
        decode, _ = seconds(board, networks["vae_decoder"], 1, apart, which)
        decode *= TILED if streamed else 1
    return {"text": text, "step": step, "limit": limit, "decode": decode, "all": text + read + steps * step + decode}


def expected(model: Model, best: dict, worst: dict, steps: int) -> Pair:
    """A picture, each stage times what the same network took here beyond what was computed for here."""
    low = high = 0.0
    for component, stage, times in (("text_encoder", "text", 1), ("unet", "step", steps), ("vae_decoder", "decode", 1)):
        like = "pocket" if model.small else "sd15"
        # The default model's text encoder is not in the benchmarks: too short to matter.
        key = (like, component) if (like, component) in HERE_MEASURED else (like, "unet")
        favourable, unfavourable = here(WORK[like][key[1]])
        low += times * best[stage] * max(1.0, HERE_MEASURED[key] / unfavourable)
        high += times * worst[stage] * HERE_MEASURED[key] / favourable
    return low, high


def number(value: float) -> str:
    """Two figures: more are not known."""
    value = float(f"{value:.2g}")
    return f"{value:.0f}" if value >= 10 else f"{value:g}"


def span(low: float, high: float) -> str:
    """From favourable to unfavourable, in the unit that suits."""
    unit, name = next((u, n) for u, n in ((3600, " h"), (60, " min"), (0.2, " s"), (0, " ms")) if high >= 2 * u)
    unit = {" s": 1, " ms": 1e-3}.get(name, unit)
    low, high = number(low / unit), number(high / unit)
    return (low if low == high else f"{low}–{high}") + name


def predictions() -> str:
    """The first table of the page."""
    lines = ["| model | board | text | a step | waits for | decoding | steps | a picture, computed | to be expected |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for model in MODELS:
        for board in BOARDS:
            for steps in model.steps:
                best, worst = (picture(board, model, steps, which) for which in (FAVOURABLE, UNFAVOURABLE))
                limits = sorted({best["limit"], worst["limit"]})
                cells = [span(best[stage], worst[stage]) for stage in ("text", "step")]
                decode = span(best["decode"], worst["decode"]) if worst["decode"] else "none"
                cells += [" or ".join(limits), decode, str(steps)]
                cells += [span(best["all"], worst["all"]), f"**{span(*expected(model, best, worst, steps))}**"]
                lines.append(f"| {model.title} | {board.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def checked() -> str:
    """The method on this machine, beside what was measured."""
    lines = ["| network | computed | measured | measured ÷ computed |", "|---|---|---|---|"]
    for (model, component), measured in HERE_MEASURED.items():
        low, high = here(WORK[model][component])
        computed, ratio = " to ".join(number(1e3 * value) for value in (low, high)), " to ".join(f"{measured / v:.2f}" for v in (high, low))
        lines.append(f"| {model}, {component} | {computed} ms | {number(1e3 * measured)} ms | {ratio} |")
    return "\n".join(lines)


def asked() -> str:
    """What a pass asks for."""
    lines = ["| network, one picture | int8 GMAC | with the second for 16 bits | attention, GMAC | scores, M | other elements, M | weights, M |"]
    lines.append("|---|---|---|---|---|---|---|")
    for model in MODELS:
        for component, work in WORK[model.name].items():
            once = products(work) - work.get("window_int16_mac", 0)
            attention = work.get("attention_qk_mac", 0) + work.get("attention_pv_mac", 0)
            cells = [number(once / 1e9), number(products(work) / 1e9), number(attention / 1e9), number(work.get("scores", 0) / 1e6)]
            cells += [number(elements(work) / 1e6), number(work["weights"] / 1e6)]
            lines.append(f"| {model.name}, {component} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def given() -> str:
    """What a board gives."""
    lines = ["| board | cores | GHz | memory, MB/s | card, MB/s | MiB | sources |", "|---|---|---|---|---|---|---|"]
    for board in BOARDS:
        lines.append(
            f"| {board.name} | {CORES_OF_A_BOARD} {board.core} | {board.ghz} | {board.memory:.0f} | {board.card:g} | {board.ram} | {board.sources} |"
        )
    lines += ["", "| core | int8, MAC a cycle | attention, 40 features | cycles a score | instructions an element | of them a cycle |"]
    lines.append("|---|---|---|---|---|---|")
    for name, core in CORES.items():
        attention = tuple(core.attention[which](40) for which in (FAVOURABLE, UNFAVOURABLE))
        pairs = [core.int8, attention, core.score]
        cells = [" to ".join(dict.fromkeys(f"{value:.3g}" for value in pair)) for pair in pairs]
        cells += [f"{an_element(core.family):.1f}", " to ".join(f"{value:g}" for value in core.instructions)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def beside() -> str:
    """OnnxStream."""
    rows = [f"| {what} | {board} | {claim} |" for what, board, claim in figures.ONNXSTREAM]
    return "\n".join(["| OnnxStream | board | its author's figure |", "|---|---|---|", *rows])


TABLES = {"predictions": predictions, "checked": checked, "asked": asked, "given": given, "beside": beside}


def written(page: str) -> str:
    """The page with every table as computed now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: by benches/boards/predict.py -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"predict.py: {PAGE}: the markers of `{name}` are missing")
        page = before + begin + table() + "\n" + end + after
    return page


def main() -> int:
    if sys.argv[1:] in (["--write"], ["--check"]):
        page = PAGE.read_text()
        new = written(page)
        if sys.argv[1] == "--write":
            PAGE.write_text(new)
        elif new != page:
            print(f"predict.py: {PAGE} is not what is computed: run it with --write", file=sys.stderr)
            return 1
    elif sys.argv[1:]:
        print(__doc__)
        return 2
    else:
        print("\n\n".join(table() for table in TABLES.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
