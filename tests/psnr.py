"""How far two pictures of easel's are apart: `psnr.py ONE.png OTHER.png [LEAST]` prints decibels; below LEAST the exit code is 1.

Standard library only. It reads what easel writes: 8 bits, RGB, not interlaced (PNG specification, sections 7 and 9).
"""

import math
import struct
import sys
import zlib


def read(path: str) -> tuple[int, int, bytearray]:
    """Width, height and bytes."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise SystemExit(f"psnr.py: {path}: no PNG")
    at, packed, width, height = 8, b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", body)
            if form != [8, 2, 0, 0, 0]:
                raise SystemExit(f"psnr.py: {path}: not 8 bits, RGB, without interlacing")
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    return width, height, unfiltered(zlib.decompress(packed), width * 3)


def unfiltered(lines: bytes, stride: int) -> bytearray:
    """Undoes each line's filter."""
    out, before = bytearray(), bytearray(stride)
    for start in range(0, len(lines), stride + 1):
        kind, line = lines[start], bytearray(lines[start + 1 : start + 1 + stride])
        for i in range(stride):
            left, up, corner = (line[i - 3], before[i], before[i - 3]) if i >= 3 else (0, before[i], 0)
            line[i] = line[i] + (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind] & 255
        out += line
        before = line
    return out


def paeth(left: int, up: int, corner: int) -> int:
    """The neighbour that is nearest to left + up - corner."""
    return min((left, up, corner), key=lambda value: abs(left + up - corner - value))


def psnr(one: bytes, other: bytes) -> float:
    """Decibels; infinite for equal ones."""
    squares = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    return 10 * math.log10(255**2 * len(one) / squares) if squares else math.inf


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print(__doc__)
        return 2
    one, other = read(sys.argv[1]), read(sys.argv[2])
    if one[:2] != other[:2]:
        raise SystemExit(f"psnr.py: {sys.argv[2]}: not the size of {sys.argv[1]}")
    decibels = psnr(one[2], other[2])
    print(f"{sys.argv[2]}: {decibels:.1f} dB")
    return int(len(sys.argv) == 4 and decibels < float(sys.argv[3]))


if __name__ == "__main__":
    sys.exit(main())
