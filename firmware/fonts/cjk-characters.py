"""Prints the East Asian characters that `fallback-cjk.ttf` keeps, for `pyftsubset --unicodes-file`."""


def characters(codec: str, first: range, second: list[int]) -> set[int]:
    """All single characters of two bytes of an encoding."""
    found = set()
    for high in first:
        for low in second:
            try:
                text = bytes([high, low]).decode(codec)
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                found.add(ord(text))
    return found


upper = range(0x21, 0xFF)
kept = set()
# What the national sets hold: GB 2312, JIS X 0208 and KS X 1001.
for codec in ("gb2312", "euc_jp", "euc_kr"):
    kept |= characters(codec, upper, list(upper))
# The frequent half of Big5.
kept |= characters("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)])
kept = {c for c in kept if c >= 0x2E80 and not 0xE000 <= c < 0xF900}
print("\n".join(f"U+{c:04X}" for c in sorted(kept)))
