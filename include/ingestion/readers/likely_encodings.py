"""Ranks the encodings in which a text may be written, by how much its words look like words in each of them.

What belongs here: the likelihood of an encoding, for messages and drafts. What does not: declaring or decoding one:
nothing is ever decoded by this ranking.

charset-normalizer says which encodings are possible, and does not always distinguish those of one byte with similar
letters: Polish text in cp1250 can be cp1252 to it. So letters outside ASCII are compared with the usual ones of the
languages that each encoding is made for, and with the rules that letters follow inside of a word.
"""

from __future__ import annotations

import re
import unicodedata

_WEST = "äöüßéèêëàâçîïôùûœæøåñáíóúãõªº"
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäßăâîşţđ"
_TURKISH = "ğışçöüâîäß"
_BALTIC = "āčēģīķļņšūžąęėįųõäöüß"
_CYRILLIC = "оеаинтсрвлкмпіы"
_GREEK = "αοιετσνηυρπκςμλάέήίόύώ"
_HEBREW = "יוהלאמתרבשנ"
_ARABIC = "اليمنوترب"
_USUAL = {
    "cp1252": _WEST, "iso8859_15": _WEST, "cp850": _WEST, "cp437": _WEST, "mac_roman": _WEST, "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL, "cp1254": _TURKISH, "cp1257": _BALTIC, "cp1251": _CYRILLIC, "iso8859_5": _CYRILLIC,
    "koi8_r": _CYRILLIC, "cp866": _CYRILLIC, "cp1253": _GREEK, "cp1255": _HEBREW, "cp1256": _ARABIC,
}  # fmt: skip
# The more usual encoding first: of equally likely ones it is named.
LIKELY = (
    "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_5",
    "iso8859_15", "koi8_r", "cp850", "cp437", "cp866", "mac_roman", "gb18030", "big5", "cp932", "euc_jp", "euc_kr",
)  # fmt: skip
# The first bytes of usual characters in encodings of several bytes, and of those that the language alone has.
_COMMON = {
    "gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6), "cp932": (0x88, 0x98), "euc_jp": (0xB0, 0xCF), "euc_kr": (0xB0, 0xC8)
}  # fmt: skip
# Commas, stops, colons, quotes and brackets of East Asian texts.
_WIDE_SIGNS = frozenset("\u3001\u3002\u300c\u300d\uff0c\uff1a\uff08\uff09")
_KANA = re.compile("[\u3040-\u30ff]")
_WORD = re.compile(r"[^\W\d_]+")
# Quotes, dashes, the euro and other signs of texts.
_AROUND = frozenset(
    "\u2013\u2014\u201e\u201c\u201d\u201a\u2018\u2019\u2026\u20ac\u00b0\u00a7\u00b7\u00ab\u00bb\u00a0"
    "\u00b4\u00ae\u2122\u00a9\u00b2\u00b3\u00bd"
)
# Signs of units, money and Spanish sentences where they can be nothing else: µm, 5 €, 20 °C, ¿Qué?
_LETTER = r"[^\W\d_\u00b5]"
_SIGN = re.compile(
    rf"(?<!{_LETTER})(?:[\u20ac\u00a4\u00b0](?!{_LETTER})|\u00b0(?=[CFKNSEWO](?!{_LETTER}))|[\u00bf\u00a1](?=[^\W\d_]{{2}})"
    rf"|\u00b5(?=(?:mol|Pa|[mslgAVWFHLTJN])(?!{_LETTER}))|\u00b5(?!{_LETTER}))"
)
_SINGLE = ("cp125", "iso8859_15")  # the encodings in which bytes of such signs are these signs
_SURE = 1.1
_FEWEST_WIDE = 2  # characters
_FINAL = frozenset("ךםןףץς")
_RARE, _OTHER, _WRONG = 0.6, 0.3, -1.0
_BONUS = 0.03  # for what charset-normalizer finds possible
_MOST_ACCENTS, _FEW = 0.8, 4  # letters
_CAPITALS = 0.9
_MOST_CHARACTERS = 20_000


def ranked(sample: bytes) -> list[str]:
    """The likely encodings of a text, the likeliest first.

    Args:
        sample: of the text; its last character may be cut.
    """
    from charset_normalizer import from_bytes  # slow to import

    matches = from_bytes(sample, cp_isolation=list(LIKELY))
    possible = {name for match in matches for name in match.could_be_from_charset}
    scores = {name: _score(sample, name) + _BONUS * (name in possible) for name in LIKELY}
    if scores["iso8859_15"] > 0 and "\u00a4" in sample.decode("cp1252", "replace"):
        # The byte of the euro is a sign in cp1252 that no text needs.
        scores["iso8859_15"] = max(scores["iso8859_15"], scores["cp1252"] + 0.01)
    able = [name for name in LIKELY if scores[name] > 0]
    return sorted(able, key=lambda name: -round(scores[name], 2))


def _score(sample: bytes, encoding: str) -> float:
    """How much a text looks like one in an encoding: 1 if all its letters are usual ones; negative if it cannot be."""
    text = sample.decode(encoding, "replace")[:_MOST_CHARACTERS]
    text = text.removesuffix("\ufffd")
    others = [sign for sign in text if not sign.isascii()]
    if not others or any(sign == "\ufffd" or unicodedata.category(sign) in {"Cc", "Cn", "Co"} for sign in others):
        return _WRONG
    if encoding in _COMMON:
        return _WRONG if len(others) < _FEWEST_WIDE else _score_of_several_bytes(others, encoding)
    usual = frozenset(_USUAL[encoding] + _USUAL[encoding].upper() + "İ")
    found = 0.0
    count = len(others)
    if encoding.startswith(_SINGLE):
        text, signs = _SIGN.subn(" ", text)
        others = [sign for sign in text if not sign.isascii()]
        found += _SURE * signs
    for match in _WORD.finditer(text):
        word = match[0]
        if not word.isascii():
            found += _of_word(word, usual, is_latin="ä" in usual)
    found += sum(_OTHER if sign in _AROUND else _WRONG for sign in others if not sign.isalpha())
    return found / count


def _of_word(word: str, usual: frozenset[str], *, is_latin: bool) -> float:
    """The sum of what its letters outside ASCII are worth."""
    found = 0.0
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    foreign = sum(not letter.isascii() for letter in word)
    # No language with Latin letters writes words with accents on most of them, and few texts are in capitals alone.
    is_mixed = len(scripts) > 1 or (is_latin and foreign > _MOST_ACCENTS * len(word) and len(word) > _FEW)
    worth = _CAPITALS if word.isupper() and len(word) > 1 else 1.0
    for at, letter in enumerate(word):
        if letter.isascii():
            continue
        # A foreign letter among those of a language, or a final one inside of a word, is what a wrong encoding shows.
        if is_mixed or (letter in _FINAL and at < len(word) - 1):
            found += _WRONG
        elif letter in usual:
            found += worth
        else:
            found += _OTHER if is_latin else _RARE * worth
    return found


def _score_of_several_bytes(others: list[str], encoding: str) -> float:
    low, high = _COMMON[encoding]
    firsts = [sign.encode(encoding, "replace")[0] for sign in others]
    kana = len(_KANA.findall("".join(others)))
    common = sum(low <= first <= high or sign in _WIDE_SIGNS for first, sign in zip(firsts, others, strict=True))
    if encoding in {"cp932", "euc_jp"}:
        # A text in Japanese of some length has syllables beside its other characters.
        return (common + kana) / len(others) * (0.98 if kana else 0.8)
    weight = 0.97 if encoding == "euc_kr" else 0.95
    return weight * common / len(others)
