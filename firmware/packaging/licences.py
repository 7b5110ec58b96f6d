#!/usr/bin/env python3
"""Prints the licences of all that is linked into easel, as their terms ask of those who pass programs on.

Reads what cargo says of the crates in `Cargo.lock` that a Linux program needs, and the licence files in their sources.
"""

import json
import subprocess
from pathlib import Path

TARGETS = ["aarch64-unknown-linux-gnu", "armv7-unknown-linux-gnueabihf", "x86_64-unknown-linux-gnu"]
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def linked() -> list[dict]:
    """The crates that are linked for some target: neither those of build scripts nor those of tests alone."""
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    command += [f"--filter-platform={target}" for target in TARGETS]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    waiting = [id for id in metadata["workspace_members"] if packages[id]["name"] == "easel-firmware"]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    found = [packages[id] for id in seen if packages[id]["source"]]  # without source: easel's own
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def main() -> None:
    crates: dict[str, list[str]] = {}
    print("easel is linked with these crates; each text below names those that it is of.\n")
    for package in linked():
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license']}, {', '.join(package['authors']) or package['repository']}")
        folder = Path(package["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.upper().startswith(NAMES):
                text = file.read_text(encoding="utf-8", errors="replace").strip()
                crates.setdefault(text, []).append(name)
    for text, names in crates.items():
        print(f"\n{'=' * 80}\n{', '.join(dict.fromkeys(names))}\n{'=' * 80}\n\n{text}")


if __name__ == "__main__":
    main()
