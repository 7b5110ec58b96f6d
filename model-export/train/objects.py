"""The objects that the default model can paint: emoji glyphs and their English names.

Names come from Python's `unicodedata`, shortened by the rules in `name_of`; the few overrides are words people would type.
The order matters: a run with `--objects N` takes the first N, so the first hundred are the visually distinct, common ones.
"""

import unicodedata

# Food, animals, things, nature, vehicles, in turns, so that any prefix of the list is varied.
GLYPHS = (
    "🍎🐱🚗🌲⭐🍌🐶🏠🌻⚽🍕🐟🚲🌵🎈🍓🐸🚀🌙🎁🍇🐘⛵🍄🔑🍉🐧🚌🌹⏰🍋🦋✈🍁🎂🍒🐢🚜☁🪑🥕🐝🚂🌈🎸🌽🐙🚁🔥💡"
    "🍔🐰⚓🌴📷🍩🐷🏰🍀🎩🥦🦊🚒🌷☂🍍🐔🚑🌸🔨🥑🦉⛺🍂👑🍪🐬🏍🌊📚🥚🐼🚕🌋🔔🧀🐴🛴💎🎲🍞🐌⛄🌳👟🍦🦀🎹🍑🐻☕🐞✏🍐🦁🧲💀"
    # The full run goes on from here.
    "🍊🥭🍏🥥🥝🍅🍆🥔🌶🥒🥬🧄🧅🥜🌰🥐🥖🥨🥯🥞🧇🍖🍗🥩🥓🍟🌭🥪🌮🌯🥙🧆🍳🥘🍲🥣🥗🍿🧈🧂🍱🍘🍙🍚🍛🍜🍝🍠🍢🍣🍤🍥🥮🍡🥟🥠🥡"
    "🦞🦐🦑🦪🍨🍧🧁🥧🍫🍬🍭🍮🍯🍼🥛🍵🍶🍾🍷🍸🍹🍺🥤🧃🧉🧊🥢🍴🥄🔪🏺"
    "🐵🦍🦧🐺🦝🐯🐅🐆🦄🦓🦌🐮🐂🐃🐗🐏🐑🐐🐪🐫🦙🦒🦏🦛🐭🐁🐀🐹🐿🦔🦇🐨🦥🦦🦨🦘🦡🦃🐓🐣🐤🐥🐦🕊🦅🦆🦢🦩🦚🦜🐊🦎🐍🐲🐉🦕🦖🐳🐋🐠🐡🦈🐚"
    "🐛🐜🦗🕷🕸🦂🦟💐🌺🌼🌱☘🌾🪐🌍🌞🌟⚡❄🎃🎄🎆🎇🎉🎊🎋🎍🎎🎏🎐🎑🎀🎟🏆🏅🥇⚾🥎🏀🏐🏈🏉🎾🥏🎳🏏🏑🏒🥍🏓🏸🥊🥋🥅⛳⛸🎣🤿🎽🎿🛷🥌🎯🪀🪁🎱🔮🕹🎰🧩🧸🎭🎨🧵🧶"
    "👓🥽🥼🦺👔👕👖🧣🧤🧥🧦👗👘🥻🩱👙👛👜👝🎒👞🥾🥿👠👡🩰👢💄💍📣📯🎙🎤🎧📻🎷🎺🎻🪕🥁📱☎📞🔋🔌💻🖥🖨⌨💾💿🎥📺🔍🕯🔦🏮📕📒📜📰💰💳✉📦✂🔒🔓⛏🏹⚙⚗🔬🔭📡💉💊🩺🚪🛏🛋🚽🚿🛁🧴🧷🧹🧺🧻🧼🧽🧯"
    "🚃🚄🚎🚓🚙🚚🛵🛺🚏⛽🚨🚥🛑🚧🚤🛳🛥🚢🪂💺🛸🗿🗽🗼🎪🎠🎡⛲🏭🏯💒⛩"
)

_OVERRIDES = {
    "🍎": "apple", "🚗": "car", "🌲": "pine tree", "⭐": "star", "🍕": "pizza", "⚽": "football", "🏠": "house",
    "⛵": "sailboat", "🎁": "gift", "🌙": "moon", "✈": "airplane", "🎂": "birthday cake", "🚂": "train",
    "🎸": "guitar", "💡": "light bulb", "⏰": "alarm clock", "🍁": "maple leaf", "🌸": "blossom", "🍂": "brown leaf",
    "🏍": "motorcycle", "🌊": "wave", "🌴": "palm tree", "🍀": "clover", "🎩": "top hat", "☂": "umbrella",
    "🍦": "ice cream", "🚒": "fire truck", "🐝": "bee", "🌽": "corn", "🍄": "mushroom", "☕": "cup of coffee",
    "👟": "shoe", "🎹": "piano", "💎": "diamond", "🎲": "dice", "🛴": "scooter", "📚": "stack of books",
    "🐞": "ladybug", "⛄": "snowman", "🔔": "bell", "🏰": "castle", "🍇": "bunch of grapes", "🍒": "cherry",
    "🍉": "watermelon", "🌈": "rainbow", "🍞": "bread", "🧀": "cheese", "🌳": "tree", "🚕": "taxi",
}  # fmt: skip

_DROP_SUFFIX = (" face", " symbol", " with leaf")


def name_of(glyph: str) -> str:
    """English name of one emoji, e.g. `"🐱"` → `"cat"`."""
    if glyph in _OVERRIDES:
        return _OVERRIDES[glyph]
    name = unicodedata.name(glyph).lower().replace("-", " ")
    for suffix in _DROP_SUFFIX:
        name = name.removesuffix(suffix)
    return name


def objects(count: int) -> list[tuple[str, str]]:
    """The first `count` (glyph, name) pairs; names are unique."""
    glyphs = [g for g in GLYPHS if g != "\ufe0f"]
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for glyph in glyphs:
        name = name_of(glyph)
        if name not in seen:
            seen.add(name)
            pairs.append((glyph, name))
    if count > len(pairs):
        raise SystemExit(f"--objects: {count} asked for, {len(pairs)} are listed in objects.py")
    return pairs[:count]


_PLURALS = {
    "fish": "fish", "mouse": "mice", "dice": "dice", "bread": "loaves of bread", "cheese": "pieces of cheese",
    "broccoli": "broccoli", "pizza": "slices of pizza", "corn": "cobs of corn", "ox": "oxen", "sheep": "sheep",
    "cup of coffee": "cups of coffee", "bunch of grapes": "bunches of grapes", "stack of books": "stacks of books",
    "maple leaf": "maple leaves", "brown leaf": "brown leaves", "rainbow": "rainbows",
}  # fmt: skip


def plural(name: str) -> str:
    """Plural of an object's name."""
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"
