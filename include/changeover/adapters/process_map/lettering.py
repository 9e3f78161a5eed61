"""How wide a text is in the documents' font (Liberation Sans, as wide as Arial and Helvetica), and where it breaks."""

from __future__ import annotations

from functools import lru_cache

_REGULAR = {
    191: "'", 222: "ijl", 260: "|", 278: " !,./:;I[\\]ft", 333: "()-`r{}", 355: '"', 389: "*", 469: "^",
    500: "Jcksvxyz", 556: "#$0123456789?L_abdeghnopqu", 584: "+<=>~", 611: "FTZ", 667: "&ABEKPSVXY", 722: "CDHNRUw",
    778: "GOQ", 833: "Mm", 889: "%", 944: "W", 1015: "@",
}  # fmt: skip
_BOLD = {
    238: "'", 278: " ,./I\\ijl", 280: "|", 333: "!()-:;[]`ft", 389: "*r{}", 474: '"', 500: "z",
    556: "#$0123456789J_aceksvxy", 584: "+<=>^~", 611: "?FLTZbdghnopqu", 667: "EPSVXY", 722: "&ABCDHKNRU",
    778: "GOQw", 833: "M", 889: "%m", 944: "W", 975: "@",
}  # fmt: skip
_WIDTHS = [{letter: width for width, letters in table.items() for letter in letters} for table in (_REGULAR, _BOLD)]
_OTHER = 1000
"""Of a letter that is not in the table, whose width is not known: as wide as most can be."""


def measure(text: str, size: float, *, bold: bool = False) -> float:
    widths = _WIDTHS[bold]
    return sum(widths.get(letter, 722 if letter.isalpha() and ord(letter) < 0x250 else _OTHER) for letter in text) * (
        size / 1000
    )


@lru_cache(maxsize=4096)
def wrap(text: str, size: float, width: float, *, bold: bool = False) -> tuple[str, ...]:
    """Broken at spaces; a word that is wider than a line is broken where it must."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if measure(f"{line} {word}".strip(), size, bold=bold) <= width:
            line = f"{line} {word}".strip()
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, size, width, bold=bold)
        lines += whole
    return tuple(part for part in (*lines, line) if part)


def _pieces(word: str, size: float, width: float, *, bold: bool) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and measure(pieces[-1] + letter, size, bold=bold) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
