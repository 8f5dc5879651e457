"""Names of uploaded files: what is left of what a client sends."""

import unicodedata

MAX_CHARACTERS = 255
NAMELESS = "file"
# A long name is cut in its middle: programs look at its end.
MAX_SUFFIX = 20
# Control, half and unassigned characters, and separators of lines.
_DROPPED = {"Cc", "Cs", "Cn", "Zl", "Zp"}
# They make a reader see another order than the one that is there: "gpj.exe" for "exe.jpg".
_BIDI = set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(sent: str) -> str:
    """The last part of a path, of any system's, in NFC and without characters that nobody can see."""
    path = sent.replace("\\", "/").rstrip("/")
    base = unicodedata.normalize("NFC", path.rpartition("/")[2])
    kept = "".join(each for each in base if unicodedata.category(each) not in _DROPPED and each not in _BIDI)
    kept = kept.strip()
    if kept.strip(".") == "":
        return NAMELESS
    if len(kept) <= MAX_CHARACTERS:
        return kept
    stem, dot, suffix = kept.rpartition(".")
    if not stem or len(suffix) > MAX_SUFFIX:
        return kept[:MAX_CHARACTERS]
    return stem[: MAX_CHARACTERS - len(suffix) - 1] + dot + suffix
