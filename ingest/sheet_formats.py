"""Numbers of a spreadsheet as a person sees them: `15.5%`, `1234.50 €`, `00123`. For XLSX, whose reader gives none.

A format counts where it changes what is said: a percentage, a sign or unit, leading zeros, thousands. Any other number
is left as it is, with all its digits; no thousands are grouped. Knows no reader.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest import archives

MAX_PART = 32 * 1024 * 1024
"""Bytes of the parts that name sheets and formats; of larger ones no format is read."""
MAX_TAG = 4096
MAX_CODE = 200
MAX_DIGITS = 15
"""Before the point and behind it, as many as a number of a spreadsheet has."""

_BUILT_IN = {9: "0%", 10: "0.00%"}
"""Formats that a file names by number alone; those of money depend on the machine, so that files spell them out."""
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<space>_).|\*.|\[\$(?P<sign>[^\-\]]*)[^\]]*\]|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<digits>[0#?.,]*[0#?][0#?.,]*|General)|(?P<other>.)",
    re.DOTALL | re.IGNORECASE,
)
_COLOUR = re.compile(r"(?:black|blue|cyan|green|magenta|red|white|yellow|color ?\d+)", re.IGNORECASE)
_CELL = re.compile(rb"<(?:\w+:)?c\s([^>]*)>")
_PLACE, _STYLE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"'), re.compile(rb'\bs="(\d{1,5})"')
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


@dataclass(frozen=True, slots=True)
class Format:
    """How a number is written, by the part of its format for positive ones."""

    before: str
    after: str
    scale: float
    zeros: int
    """Digits before the point at least."""
    decimals: tuple[int, int] | None
    """Digits behind the point, at least and at most; None for as many as the number has."""
    groups: tuple[int, ...] = ()
    """Lengths of groups of digits, from the right, with `between` between them."""
    between: tuple[str, ...] = ()

    def show(self, value: float) -> str:
        """The number in this format."""
        value *= self.scale
        if self.decimals is None:
            text = f"{abs(value):.15g}"
        else:
            least, most = self.decimals
            text = f"{abs(value):.{most}f}"
            while most > least and text.endswith("0"):
                text, most = text[:-1], most - 1
            text = text.rstrip(".")
        whole, point, rest = text.partition(".")
        whole = whole.zfill(self.zeros)
        for length, literal in zip(self.groups, self.between, strict=True):
            whole, rest = whole[:-length], f"{literal}{whole[-length:]}{rest}"
        sign = "-" if value < 0 and text.strip("0.") else ""
        return " ".join(f"{sign}{self.before}{whole}{point}{rest}{self.after}".split())


class Formats:
    """The formats of a workbook's cells; none where the workbook's parts do not tell them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._styles: list[Format | None] = []
        self._parts: dict[str, str] = {}
        try:
            self._styles = list(_styles(archives.xml(archive, "xl/styles.xml", most=MAX_PART)))
            self._parts = _sheets(archive)
        except (KeyError, SyntaxError, ValueError):
            self._styles = []  # the reader of the workbook says what is wrong with it

    def rows(self, sheet: str) -> Iterator[tuple[int, dict[int, Format]]]:
        """(row, {column: format}) of each row that has cells with a format, in the file's order; from 0."""
        part = self._parts.get(sheet)
        if part is None or not any(self._styles):
            return
        row, found = -1, dict[int, Format]()
        for attributes in _cells(self._archive, part):
            style = _STYLE.search(attributes)
            number = int(style[1]) if style else 0
            form = self._styles[number] if number < len(self._styles) else None
            place = _PLACE.search(attributes) if form else None
            if place is None or form is None:
                continue
            if int(place[2]) - 1 != row:
                if found:
                    yield row, found
                row, found = int(place[2]) - 1, {}
            found[column(place[1]) - 1] = form
        if found:
            yield row, found


def column(letters: bytes) -> int:
    """The number of a column, from 1: `A` is 1, `AB` 28."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def parsed(code: str) -> Format | None:
    """A format code; None where it says nothing that the plain number does not, or is one for dates or fractions."""
    texts, digits = [""], list[str]()
    percent = False
    for token in _TOKEN.finditer(code[:MAX_CODE]):
        bracket, other = token["bracket"], token["other"] or ""
        if other == ";":
            break
        if (bracket is not None and not _COLOUR.fullmatch(bracket)) or other.isalpha() or other in ("@", "/"):
            return None  # a condition, a date, a text
        if token["digits"]:
            digits.append(token["digits"])
            texts.append("")
        else:
            percent = percent or other == "%"
            texts[-1] += token["quoted"] or token["escaped"] or token["sign"] or (" " if token["space"] else other)
    if not digits:
        return None
    return _format(texts, digits, percent=percent)


def _format(texts: list[str], digits: list[str], *, percent: bool) -> Format | None:
    before, after = " ".join(texts[0].split()), texts[-1].rstrip()
    before += " " if before and texts[0].endswith(" ") else ""
    if len(digits) > 1:
        if re.search(r"[.,]|general", "".join(digits), re.IGNORECASE):
            return None
        lengths = tuple(map(len, digits[:0:-1]))
        return Format(before, after, 1, "".join(digits).count("0"), (0, 0), lengths, tuple(texts[-2:0:-1]))
    if digits[0].casefold() == "general":
        return Format(before, after, 1, 1, None) if (before + after).strip() else None
    pattern = digits[0].rstrip(",")
    thousands = len(digits[0]) - len(pattern)
    whole, _, part = pattern.partition(".")
    zeros, decimals = min(whole.count("0"), MAX_DIGITS), (min(part.count("0"), MAX_DIGITS), min(len(part), MAX_DIGITS))
    if not (before + after).strip() and zeros < 2 and not thousands:
        return None
    return Format(before, after, (100 if percent else 1) / 1000**thousands, zeros, decimals)


def _styles(root: Any) -> Iterator[Format | None]:
    codes = _BUILT_IN | {int(each.get("numFmtId", "0")): each.get("formatCode", "") for each in root.iter("{*}numFmt")}
    known = {number: parsed(code) for number, code in codes.items()}
    for formats in root.iter("{*}cellXfs"):
        for each in formats.iter("{*}xf"):
            yield known.get(int(each.get("numFmtId", "0")))


def _sheets(archive: zipfile.ZipFile) -> dict[str, str]:
    """The part of each sheet, by its name."""
    targets = {
        each.get("Id"): each.get("Target", "")
        for each in archives.xml(archive, "xl/_rels/workbook.xml.rels", most=MAX_PART)
    }
    found = {}
    for sheet in archives.xml(archive, "xl/workbook.xml", most=MAX_PART).iter("{*}sheet"):
        target = targets.get(sheet.get(_RELATION), "")
        part = target[1:] if target.startswith("/") else f"xl/{target}"
        if part in archive.NameToInfo:
            found[sheet.get("name", "")] = part
    return found


def _cells(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The attributes of every cell, in the file's order, read some at a time."""
    rest = b""
    with archive.open(part) as handle:
        while block := handle.read(1 << 20):
            block = rest + block
            end = block.rfind(b">") + 1
            for match in _CELL.finditer(block, 0, end):
                yield match[1]
            rest = block[end:][-MAX_TAG:]  # a longer piece without an end is no tag of a cell
