"""The prompts on which easel's tokenizer is compared with transformers'."""

import unicodedata

_PLAIN = """\
a cat
three red apples on a blue background
A photograph of an astronaut riding a horse
Oil painting, impressionist style, of a harbour at dawn
don't, can't, won't, it's, I'm, you're, they've, we'll, he'd
DON'T SHOUT, IT'S LATE
'tis the season; rock 'n' roll; the dogs' house
'''s 'S 'T 'Re 'VE 'm 'LL 'd 'x
1 22 333 4444 55555
3.14159 2,718 1e-5 0xFF 50% £20 $5.99
16:9, 4K, 8k, f/1.4, 35mm, ISO 100
https://example.org/a/b?c=d&e=f#g
user@example.org, C:\\temp\\file.txt, ~/src/main.rs
a_b-c.d/e\\f|g
!!! ??? ... ,,, --- *** ### @@@
hello!world!! !a! !
(a cat), [a dog], {a bird}, <a fish>
"quoted" `code` 'single' “curly” ‘curly’ «guillemets»
<|endoftext|>
<|startoftext|>
a cat<|endoftext|>and a dog
<|startoftext|>a cat<|endoftext|>
<|ENDOFTEXT|> <|StartOfText|>
<|endoftext|><|endoftext|> <|startoftext|><|endoftext|>!
<|end oftext|> <|endoftext| <|<|endoftext|>|> |endoftext|>
a<|endoftext|>b <|endoftext|>  c
<pad> <unk> [CLS] [MASK] </w> cat</w> #version: 0.2
naïve café, jalapeño, Ångström, façade, coöperate
crème brûlée à la carte, déjà vu, Œuvre, garçon
Straße, GROẞ, Köln, Ärger, ÜBER
ÇA VA? ÉCOLE ÎLE ÔTE ÙÚÛ Ÿ
İstanbul, DIYARBAKIR ılık Iğdır
ΑΓΓΕΛΟΣ ΣΟΦΟΣ ΟΔΥΣΣΕΥΣ Σ ΑΣ Σ. ΑΣ' ΑΣΑ
άγγελος, ῾Ρόδος, ᾳ ᾼ ώρα
Привет, мир! ЁЖИК в тумане
українська їжак ґанок
chữ Việt: Đường, Nguyễn, phở, ưỡ
Łódź, Gdańsk, žluťoučký kůň, ŠŤASTNÝ
ǅ ǈ ǋ ǲ ǆ Ǆ
ﬁre ﬂoor ﬃ ﬅ
Ⅷ ⅷ ① ② ⓐ Ⓐ ½ ¾ ² ³ ₂ ⁵
٣ ४ ๕ ၆ 六 ５ 𝟓 Ⅻ ↉
𝐁𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𝕕𝕠𝕦𝕓𝕝𝕖
ＦＵＬＬｗｉｄｔｈ　ｔｅｘｔ！
K Å Ω ℃ № ™ ℡
'ſ 'K ſharp Kelvin
ª º ʰ ʷ ˀ ᴬ
一只红色的猫
東京の夜景、雨のネオン
桜が咲いている富士山
私はガラスを食べられます
ガラス ガラス が か゚
カタカナ ひらがな ﾊﾝｶｸ
한국어 문장입니다 고양이
\u1100\u1161\u11a8 \uac01 \ud7a3 \u304b\u3099
漢字kanji漢字123漢字
㐀 䶿 𠀀 𪛖 𫜴 𫝀 𫠝 𫠠 丽 豈 鶴
〇 々 〆 ㍿ ㊗ ㋿
รูปแมวบนดวงจันทร์
ກຂຄ ພາສາລາວ
မြန်မာ ភាសាខ្មែរ
हिन्दी में बिल्ली, क्षत्रिय
বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം
ਪੰਜਾਬੀ ગુજરાતી ଓଡ଼ିଆ සිංහල
قطة حمراء على القمر
اَلْعَرَبِيَّةُ ﷺ لا ﻻ
خانهٔ پدری گربه‌ها
חתול אדום שָׁלוֹם
ܫܠܡܐ ሰላም გამარჯობა ᲒᲐᲛᲐᲠᲯᲝᲑᲐ Բարեւ
Ꭰ ꭰ Ꮿ ᏸ Ꭳ ᎠᏂ
𐐀𐐨 𞤀𞤢 𐲀 𑢠
ⰀⰁⰂ Ⲁⲁ ꙀꙂ
😀
😀😃😄😁😆
a 🐱 on the 🌙
👍🏽 👩🏿 🤝🏻
👨‍👩‍👧‍👦 👩‍🚀 🏳️‍🌈 🏴‍☠️
🇩🇪🇫🇷🇯🇵 🇺🇳 🇦
🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏴󠁧󠁢󠁳󠁣󠁴󠁿
1️⃣ #️⃣ *️⃣ ❤️ ❤ ☎︎
(╯°□°)╯︵ ┻━┻ ¯\\_(ツ)_/¯ ʕ•ᴥ•ʔ
→ ← ↔ ⇒ ∀ ∃ ∑ ∫ √ ∞ ≠ ≤
∮ E⋅da = Q, n → ∞, ∑ f(i) = ∏ g(i)
█▓▒░ ─│┌┐ ◼◻ ★☆ ♠♥♦♣
€ ¥ ₹ ₿ ¢ ¤
¡Hola! ¿Qué tal? … – — ‐ ‑
the   quick    brown     fox
 leading and trailing 
trailing comma,
,leading comma
a,b,c;d;e
masterpiece, best quality, ((highly detailed)), [blurry:0.5], (sharp focus:1.3)
portrait of a woman, by Vincent van Gogh --ar 16:9 --v 5
SELECT * FROM cats WHERE name = 'Tom'; -- drop
<b>bold</b> &amp; &lt;html&gt; &#39;
{"prompt": "a cat", "steps": 20}
%s %d {} {0} \\n \\t \\u0041
αβγabcабв混合mixed
re-re're 've-'ve'd I'd've y'all'd've
x'sy'tz'll
a's b'S c’s d’t
Zo\u0308e cafe\u0301 A\u030angstro\u0308m
a\u0301\u0302\u0303\u0304\u0305 Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334
q\u0307\u0323 q\u0323\u0307 \u1e69 s\u0323\u0307 \u1e0b\u0323
\u0301 \u0301a \u0345 a\u0345b \u03b1\u0345
\u2126 \u212b \u212a \u1fef \u2000x\u2001y
\u0958 \u0915\u093c \u2adc \ufb1d \ufb2a
"""

_ODD = [
    "",
    " ",
    "   ",
    "\t\n\r ",
    "\u00a0",
    "\u3000\u2003\u2028\u2029",
    "\x00",
    "a\x00b",
    "\x01\x02\x03",
    "a\x01b\x1fc\x7fd",
    "a\tb\nc\rd\r\ne",
    "a\x0bb\x0cc",
    "a\x1cb\x1dc\x1ed\x1fe",
    "a\x85b\x80c\x9fd",
    "a\u00a0b\u1680c\u2009d\u202fe\u205ff\u3000g",
    "a\u2028b\u2029c",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "\u200b",
    "\ufeffbyte order mark",
    "soft\u00adhyphen",
    "\u202eright to left override\u202c and \u2066isolate\u2069",
    "\u180emongolian\u180b\u180c",
    "\ud7ff\ue000\uf8ff",
    "private \U000f0000\U0010fffd use",
    "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff noncharacters",
    "replacement \ufffd character\ufffd",
    "unassigned \u0378\u0380 code points",
    "tags \U000e0001\U000e0041",
    "variation \ufe00\ufe0f\U000e0100",
    "<|endof\u200btext|>",
    "<|endoftext\x00|>",
    "<|\u017ftartoftext|>",
    "\u1e9e\u0130\u0149\u01f0\u0390\u1fb7",
    "\u03a3",
    "A\u03a3\u0301 A\u03a3\u00ad A\u03a3\u2019B",
    "x" * 1000,
    "ab" * 500,
    "supercalifragilisticexpialidocious" * 30,
    "1234567890" * 20,
    "!" * 200,
    "😀" * 100,
    "é" * 150,
    "e\u0301" * 150,
    "漢" * 120,
    "👨‍👩‍👧‍👦" * 20,
    "<|endoftext|>" * 90,
    "a cat " * 36,
    "a cat " * 37 + "a",
    "a cat " * 37 + "a cat",
    "a cat " * 38,
    "a cat, " * 100,
    "a" + " " * 500 + "b",
    "\n".join(["roses are red", "violets are blue"] * 10),
    "a very long prompt about a small house by the sea, with a red door and three windows, "
    "two cats on the wall, one asleep and one awake, a sailing boat far out, gulls in the wind, "
    "soft evening light, long shadows, a path of white pebbles, lavender, bees, a blue bicycle "
    "against the fence, washing on the line, smoke from the chimney, painted in water colours, "
    "fine detail, warm palette, wide angle, and in the corner the painter's own signature",
]

_SCENES = [
    f"{count} {colour} {thing} {place}"
    for count, colour, thing, place in (
        ("a", "green", "cat", "in the snow"),
        ("two", "purple", "elephants", "under water"),
        ("three", "golden", "keys", "on a wooden table"),
        ("four", "tiny", "robots", "at night"),
        ("many", "pink", "balloons", "over the city"),
        ("one", "broken", "umbrella", "in the rain"),
        ("several", "orange", "pumpkins", "at Hallowe'en"),
        ("no", "grey", "clouds", "in the sky"),
        ("half a", "yellow", "lemon", "on a plate"),
        ("the", "last", "unicorn", "by Moebius, 1982"),
        ("an", "antique", "gramophone", "in an attic"),
        ("some", "wet", "penguins", "on an ice floe"),
    )
]


def prompts() -> list[str]:
    """All prompts, each once, in a fixed order."""
    every = _PLAIN.splitlines() + _ODD + _SCENES
    every += [f"{a} of {b}, {c}" for a in ("sketch", "Photo", "PIXEL ART") for b in ("the sea", "Zürich", "a 🦊")
              for c in ("flat", "at 3 o'clock", "f/2.8")]
    return list(dict.fromkeys(every))


def same_in_all_versions(text: str) -> bool:
    """Whether no character is one that this Python's Unicode tables lack and newer ones may have."""
    return all(unicodedata.category(c) != "Cn" or c in "\u0378\u0380\ud7ff" or ord(c) & 0xFFFE == 0xFFFE
               or 0xFDD0 <= ord(c) <= 0xFDEF for c in text)
