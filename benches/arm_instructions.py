"""Instructions that a pass of a network takes on Arm: easel's and ONNX Runtime's, counted by QEMU on any machine.

    rustup target add aarch64-unknown-linux-gnu
    apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    cargo build --release --target aarch64-unknown-linux-gnu -p easel-firmware
    dpkg --add-architecture arm64 && apt-get update
    .venv/bin/python benches/arm_instructions.py prepare ARMROOT --model models/pocket
    .venv/bin/python benches/arm_instructions.py count --easel target/aarch64-unknown-linux-gnu/release/easel --armroot ARMROOT

`prepare` needs Debian, network, and Python with onnx and onnxruntime. Into the new folder ARMROOT it unpacks a Python for Arm (Debian's;
nothing is installed) and the wheels of ONNX Runtime and numpy, the same version that is installed here, and writes the networks:
the model's int8 file in float32, and that by `quantize_dynamic`. Where Rust's target cannot be had, Debian's `rustc-web` has it.

`count` needs a `qemu-aarch64` with plugins: that of Debian's qemu-user has them, the static one of qemu-user-static has not. Each cell
is the difference between two runs, one with --more passes more than the other, divided by --more: loading does not count. One thread.
Instructions are no cycles: an `smull` is one, as is a 16-byte `sdot`, so that a count tells of work, not of time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
DEBIAN = "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libstdc++6 libgcc-s1 zlib1g libexpat1 libffi8 libssl3"
EASEL = "easel"
FILES = {
    "ort-fp32": "float.onnx",
    "ort-int8": None,
    "ort-int8-folded": None,
    "ort-dynamic": "dynamic.onnx",
    "ort-dynamic-matmul": "dynamic-matmul.onnx",
}
# A Cortex-A with `smmla`: what else QEMU has in `max`, 2048-bit SVE and SME, is on no board.
CPUS = ("cortex-a53", "cortex-a76", "max,sve=off,sme=off")
# Multiplications: instructions by their encoding, in any of their forms.
PLUGIN = r"""
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of qemu-plugin.h that is used, unchanged since version 1 of the interface.
struct qemu_plugin_tb;
struct qemu_plugin_insn;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t, void (*)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(uint64_t, void (*)(uint64_t, void *), void *);
int qemu_plugin_version = PLUGIN_VERSION;

static const struct { const char *name; uint32_t mask, bits; } KINDS[] = {
    {"fmla", 0xbfa0fc00, 0x0e20cc00}, {"fmla", 0xbf80f400, 0x0f801000},  // by vector, by lane
    {"sdot", 0x9f20fc00, 0x0e009400}, {"sdot", 0x9f00f400, 0x0f00e000},  // and udot
    {"smmla", 0xdfe0f400, 0x4e80a400},                                   // and ummla, usmmla
    {"smull", 0x9f20fc00, 0x0e20c000}, {"smull", 0x9f00f400, 0x0f00a000}, // and umull, of both halves
    {"smlal", 0x9f20fc00, 0x0e208000}, {"smlal", 0x9f00f400, 0x0f002000}, // and umlal
};
enum { COUNT = sizeof KINDS / sizeof *KINDS };

struct block { uint64_t instructions, kinds[COUNT]; _Atomic uint64_t times; struct block *next; };
static _Atomic(struct block *) blocks;

static void executed(unsigned cpu, void *block) {
    atomic_fetch_add_explicit(&((struct block *)block)->times, 1, memory_order_relaxed);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
    struct block *block = calloc(1, sizeof *block);
    if (!block) abort();
    block->instructions = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < block->instructions; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, i)), sizeof word);
        for (int k = 0; k < COUNT; k++) block->kinds[k] += (word & KINDS[k].mask) == KINDS[k].bits;
    }
    block->next = blocks;
    while (!atomic_compare_exchange_weak(&blocks, &block->next, block)) {}
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, block);
}

static void finished(uint64_t id, void *unused) {
    uint64_t all = 0, kinds[COUNT] = {0};
    for (struct block *b = blocks; b; b = b->next) {
        all += b->times * b->instructions;
        for (int k = 0; k < COUNT; k++) kinds[k] += b->times * b->kinds[k];
    }
    FILE *file = fopen(getenv("INSTRUCTIONS_OUT"), "w");
    if (!file) abort();
    fprintf(file, "all %" PRIu64 "\n", all);
    for (int k = 0; k < COUNT; k++) fprintf(file, "%s %" PRIu64 "\n", KINDS[k].name, kinds[k]);
    fclose(file);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
"""


def prepare(args: argparse.Namespace) -> None:
    """Fills ARMROOT."""
    import onnxruntime

    sys.path.insert(0, str(HERE))
    import engines

    args.armroot.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "-q", *(f"{name}:arm64" for name in DEBIAN.split())], cwd=folder, check=True)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, args.armroot], check=True)
    wheels = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--no-deps", f"--target={args.armroot / 'site'}"]
    wheels += [f"--platform=manylinux{kind}_aarch64" for kind in ("2014", "_2_27", "_2_28")]
    wanted = [f"onnxruntime=={onnxruntime.__version__}", "numpy<2.5"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wheels, *wanted], check=True)
    for component in args.component:
        networks = args.armroot / "networks" / component
        networks.mkdir(parents=True)
        dequantize(args.model / component / "model.onnx", networks / "float.onnx")
        for engine in ("ort-dynamic", "ort-dynamic-matmul"):
            engines.quantize(networks / "float.onnx", networks / FILES[engine], matmul_only=engine.endswith("matmul"))


def dequantize(source: Path, target: Path) -> None:
    """The same network with its int8 weights as float32."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made, left = [], []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in stored:
            left.append(node)
            continue
        weights, scale, *zero = (stored[name].astype(np.float32) for name in node.input)
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [-1 if scale.ndim and at == axis % weights.ndim else 1 for at in range(weights.ndim)]
        weights = (weights - (zero[0].reshape(shape) if zero else 0)) * scale.reshape(shape)
        made.append(numpy_helper.from_array(weights.astype(np.float32), node.output[0]))
    used = {name for node in left for name in node.input}
    made += [tensor for tensor in model.graph.initializer if tensor.name in used]
    for field, value in ((model.graph.node, left), (model.graph.initializer, made)):
        del field[:]
        field.extend(value)
    onnx.save(model, target)


def build_plugin(qemu: str, folder: Path) -> Path:
    """The plugin, of an interface version that this QEMU takes."""
    if "-plugin" not in subprocess.run([qemu, "--help"], capture_output=True, text=True, check=True).stdout:
        raise SystemExit(f"arm_instructions.py: {qemu} has no plugins: take the qemu-aarch64 of Debian's qemu-user")
    version = int(re.search(r"version (\d+)", qemu_version(qemu)).group(1))
    (folder / "count.c").write_text(PLUGIN)
    flags = ["-O2", "-fPIC", "-shared", f"-DPLUGIN_VERSION={1 if version < 8 else 2}"]
    subprocess.run(["cc", *flags, "-o", folder / "count.so", folder / "count.c"], check=True)
    return folder / "count.so"


def qemu_version(qemu: str) -> str:
    return subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def run(args: argparse.Namespace, plugin: Path, engine: str, component: str, cpu: str, passes: int) -> tuple[dict[str, int], str]:
    """Instructions of a process with so many passes, and what it printed."""
    counts = plugin.with_suffix(".counts")
    command = [args.qemu, "-cpu", cpu, "-plugin", str(plugin)]
    if engine == EASEL:
        # Without the path the loader of this C library would take the system's own, if it has one, and the two hang at the first thread.
        command += ["-L", str(args.sysroot), "-E", f"LD_LIBRARY_PATH={args.sysroot / 'lib'}"]
        command += [str(args.easel), "bench", "--model", str(args.model), "--component", component]
        # One pass comes before those that are asked for.
        command += ["--size", args.size, "--threads", "1", "--repeat", str(passes - 1), "--json"]
    else:
        file = args.armroot / "networks" / component / FILES[engine] if FILES[engine] else args.model / component / "model.onnx"
        command += ["-L", str(args.armroot), "-E", f"PYTHONPATH={args.armroot / 'site'}", str(args.armroot / "usr/bin/python3.11")]
        command += [str(HERE / "engines.py"), "worker", engine, component, str(file)]
        command += ["--model", str(args.model), "--size", args.size, "--threads", "1"]
    done = subprocess.run(
        command,
        input="\n" * (passes - 1),
        capture_output=True,
        text=True,
        env=os.environ | {"INSTRUCTIONS_OUT": str(counts), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode:
        last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise SystemExit(f"arm_instructions.py: {engine} on {cpu}: {last}")
    total: dict[str, int] = {}
    for line in counts.read_text().splitlines():
        name, number = line.split()
        total[name] = total.get(name, 0) + int(number)
    return total, done.stdout


def count(args: argparse.Namespace) -> None:
    """Prints the table."""
    if args.easel is None and args.armroot is None:
        raise SystemExit("arm_instructions.py: nothing to count: give --easel, --armroot or both")
    engines = [EASEL] * (args.easel is not None) + [e for e in args.engine if args.armroot is not None]
    print(f"{qemu_version(args.qemu)}; million instructions a pass; one thread, {args.size}; of which multiplications\n")
    print("| component | CPU | engine | instructions | ÷ easel | multiplications |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        plugin = build_plugin(args.qemu, Path(folder))
        for component in args.component:
            for cpu in args.cpu:
                ours = None
                for engine in engines:
                    before, _ = run(args, plugin, engine, component, cpu, 2)
                    after, said = run(args, plugin, engine, component, cpu, 2 + args.more)
                    each = {name: (after[name] - before[name]) / args.more / 1e6 for name in after}
                    name = engine
                    if engine == EASEL:
                        ours, name = each["all"], f"{engine}, {json.loads(said)['kernel']}"
                    ratio = f"{each['all'] / ours:.2f}" if ours else ""
                    rest = ", ".join(f"{n:.1f} {k}" for k, n in each.items() if k != "all" and n > 0.05)
                    print(f"| {component} | {cpu} | {name} | {each['all']:.1f} | {ratio} | {rest} |", flush=True)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = args.add_subparsers(dest="command", required=True)
    preparing, counting = commands.add_parser("prepare"), commands.add_parser("count")
    preparing.add_argument("armroot", type=Path, help="folder to make")
    counting.add_argument("--armroot", type=Path, help="what `prepare` made; without it only easel is counted")
    counting.add_argument("--easel", type=Path, help="easel for Arm; without it only ONNX Runtime is counted")
    counting.add_argument("--qemu", default="qemu-aarch64")
    counting.add_argument("--sysroot", type=Path, default=Path("/usr/aarch64-linux-gnu"), help="C library for easel [default: %(default)s]")
    counting.add_argument("--engine", nargs="+", choices=FILES, default=list(FILES), help="of ONNX Runtime")
    counting.add_argument("--cpu", nargs="+", default=list(CPUS), help="as QEMU names it")
    counting.add_argument("--size", default="128x128", metavar="WxH")
    counting.add_argument("--more", type=int, default=5, metavar="K", help="passes that the longer run makes more [default: %(default)s]")
    for command in (preparing, counting):
        command.add_argument("--model", type=Path, default=ROOT / "models/pocket")
        command.add_argument("--component", nargs="+", choices=["text_encoder", "unet", "vae_decoder"], default=["unet"])
    args = args.parse_args()
    for name in ("armroot", "easel", "model", "sysroot"):
        if getattr(args, name, None) is not None:
            setattr(args, name, getattr(args, name).absolute())
    prepare(args) if args.command == "prepare" else count(args)


if __name__ == "__main__":
    main()
