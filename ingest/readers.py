"""Files to text: one reader a format, chosen by suffix. What a reader returns is stored, and offsets refer to it.

Headings come out as Markdown headings and tables as rows `| a | b |`, whatever the format, so that splitting knows
one syntax. The libraries of each format are used directly, because llama-index's readers drop headings, table structure
and places on a page; formats that have no reader here go to llama-index's where they are installed. Knows no corpus and
no chunk.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ingest import front_matter, headings, ocr, signatures
from ingest.cleaning import CLEANING, clean, decode
from ingest.languages import LANGUAGES
from rag.errors import UnreadableDocument
from rag.page_boxes import PlacedText
from rag.types import MetadataValue

MAX_CHARACTERS = 64 * 1024 * 1024
"""Of one document's text, some thirty thousand pages; more is no document that a person reads."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file and what the file says of itself."""

    text: str
    title: str = ""
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    layout: tuple[PlacedText, ...] = ()
    """Where the text stands on the pages of the file, for formats that have pages."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A format's reader; the number in its name is raised when the same file would give another text."""

    name: str
    extract: Callable[[Path], Extracted]
    extra: str = ""
    """Of the package: what brings the library of this format."""
    libraries: tuple[str, ...] = ("charset-normalizer",)
    """The packages that read it: another version of one may read otherwise."""
    pictures: bool = False
    """Whether it reads pictures of text too, where OCR is installed."""

    @property
    def fingerprint(self) -> str:
        """Changes when the same file may give another text: reader, cleaner, versions of libraries, OCR."""
        parts = [self.name, CLEANING, *map(_version, self.libraries)]
        return "+".join([*parts, "ocr"] if self.pictures and ocr.available() else parts)

    def read(self, path: Path) -> Extracted:
        """The text, never empty. Raises UnreadableDocument with a plain reason."""
        try:
            signatures.check(path)
            extracted = self.extract(path)
        except UnreadableDocument:
            raise
        except ModuleNotFoundError as error:
            if not self.extra:
                raise
            raise UnreadableDocument(
                f"reading {path.suffix} needs {error.name}: `pip install 'understudy[{self.extra}]'` brings it"
            ) from error
        except MemoryError:
            raise UnreadableDocument("it needs more memory than a reader may take") from None
        except RecursionError:
            raise UnreadableDocument("its parts are nested too deeply") from None
        except OSError as error:
            raise UnreadableDocument(f"the file cannot be read: {error.strerror or error}") from error
        except Exception as error:  # parsers raise anything on a bad file, which must not stop the rest
            raise UnreadableDocument(f"its reader failed: {type(error).__name__}: {str(error)[:200]}") from error
        if not extracted.text.strip():
            raise UnreadableDocument("the file holds no text")
        if len(extracted.text) > MAX_CHARACTERS:
            raise UnreadableDocument(f"its text has {len(extracted.text):,} characters, at most {MAX_CHARACTERS:,}")
        return extracted


@cache
def _version(library: str) -> str:
    """A package by name and version; of one that is not installed the name alone."""
    try:
        return f"{library}-{importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return library


_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)


def read_markdown(path: Path) -> Extracted:
    """Markdown as it stands, but for underlined headings; front matter becomes metadata."""
    text = decode(path.read_bytes())
    metadata: dict[str, MetadataValue] = {}
    if match := _FRONT_MATTER.match(text):
        metadata = front_matter.fields(match[1])
        text = text[match.end() :].lstrip("\n")
    told = metadata.pop("title", "")
    text, heading = headings.markdown(text)
    return Extracted(text, str(told) or heading, metadata)


def read_restructured(path: Path) -> Extracted:
    """reStructuredText as it stands, but for the titles of its sections."""
    text, title = headings.restructured(decode(path.read_bytes()))
    return Extracted(text, title)


def read_text(path: Path) -> Extracted:
    """Plain text; a short first line that stands alone is its title."""
    text = decode(path.read_bytes())
    first, _, rest = text.strip().partition("\n")
    alone = rest.startswith(("\n", "=", "-")) and len(first) <= 100 and not first.rstrip().endswith((".", ","))
    return Extracted(text, first.strip() if alone else "")


def _html(path: Path) -> Extracted:
    from ingest.readers_html import read_html

    return read_html(path)


def _pdf(path: Path) -> Extracted:
    from ingest.readers_pdf import read_pdf

    return read_pdf(path)


def _docx(path: Path) -> Extracted:
    from ingest.readers_docx import read_docx

    return read_docx(path)


def _pptx(path: Path) -> Extracted:
    from ingest.readers_pptx import read_pptx

    return read_pptx(path)


def _sheet(path: Path) -> Extracted:
    from ingest.readers_sheet import read_sheet

    return read_sheet(path)


def _ods(path: Path) -> Extracted:
    from ingest.readers_ods import read_ods

    return read_ods(path)


def _xls(path: Path) -> Extracted:
    from ingest.readers_xls import read_xls

    return read_xls(path)


def _epub(path: Path) -> Extracted:
    from ingest.readers_epub import read_epub

    return read_epub(path)


def _mail(path: Path) -> Extracted:
    from ingest.readers_mail import read_mail

    return read_mail(path)


def _code(path: Path) -> Extracted:
    """Source code as it stands, with its language as metadata; its title is its name."""
    return Extracted(decode(path.read_bytes()), path.name, {"language": LANGUAGES[path.suffix.lower()]})


def _other(path: Path) -> Extracted:
    """Any format that llama-index's file readers know."""
    if importlib.util.find_spec("llama_index.readers") is None:
        raise UnreadableDocument(
            f"there is no reader for {path.suffix}; `pip install 'understudy[formats]'` adds llama-index's readers"
        )
    from llama_index.core import SimpleDirectoryReader

    try:
        parts = SimpleDirectoryReader(input_files=[path], raise_on_error=True).load_data()
    except Exception as error:  # the readers of a dozen libraries raise what they like; none of it is ours
        raise UnreadableDocument(f"llama-index's reader failed: {error}") from error
    return Extracted(clean("\n\n".join(part.text for part in parts)))


_MARKDOWN, _TEXT = Reader("markdown-3", read_markdown), Reader("text-2", read_text)
_PAGES = ("beautifulsoup4", "lxml", "charset-normalizer")
_HTML = Reader("html-4", _html, libraries=_PAGES)
_PDF = Reader("pdf-3", _pdf, libraries=("pypdfium2",), pictures=True)
_DOCX = Reader("docx-3", _docx, libraries=("python-docx",))
_PPTX = Reader("pptx-2", _pptx, extra="office", libraries=("python-pptx",))
_SHEET = Reader("sheet-2", _sheet, extra="office", libraries=("python-calamine",))
_ODS = Reader("ods-1", _ods, libraries=("lxml",))
_XLS = Reader("xls-1", _xls, extra="office", libraries=("xlrd",))
_EPUB, _MAIL = Reader("epub-3", _epub, libraries=_PAGES), Reader("mail-3", _mail, libraries=_PAGES)
_CODE = Reader("code-1", _code)
READERS = {
    **dict.fromkeys((".md", ".markdown"), _MARKDOWN),
    **dict.fromkeys((".txt", ".text", ".log", ""), _TEXT),
    ".rst": Reader("rst-1", read_restructured),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _HTML),
    ".pdf": _PDF,
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), _DOCX),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), _PPTX),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb"), _SHEET),
    ".xls": _XLS,
    ".ods": _ODS,
    ".epub": _EPUB,
    ".eml": _MAIL,
    **dict.fromkeys(LANGUAGES, _CODE),
}
SUFFIXES = (*filter(None, READERS), ".csv", ".tsv", ".json", ".jsonl")
_OTHER = Reader("llama-index-1", _other, libraries=("llama-index-readers-file",))


def reader_for(path: Path) -> Reader:
    """The reader of a file, by its suffix; others are tried with llama-index's readers."""
    return READERS.get(path.suffix.lower(), _OTHER)
