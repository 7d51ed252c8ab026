"""A zoo of bad and odd files: truncated, encrypted, bombs, wrong names, every encoding, symlink loops.

Each is made here, none is kept; the same seed makes the same zoo. `tests/integration/test_zoo.py` reads all of it,
`bench/fuzz_readers.py` mutates it.
"""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fakes import office_files, pdf_files, sheet_files, zoo_bombs

FACT = office_files.FACT
MARKDOWN = f"---\ntitle: Valves\n---\n# Valves\n\n## Limits\n\n{FACT}\n\n| part | bar |\n| --- | --- |\n| T-1 | 3.5 |\n"
HTML = (
    f"<html><head><title>Valves</title></head><body><h1>Valves</h1><p>{FACT}</p><ul><li>one<li>two</ul></body></html>"
)


@cache
def samples() -> dict[str, bytes]:
    """A sound file of each format, by its suffix."""
    made: dict[str, bytes] = {
        ".md": MARKDOWN.encode(),
        ".txt": f"Valves\n\n{FACT} Naïve café.\n".encode(),
        ".html": HTML.encode(),
        ".csv": f'part;note\nT-1042;"{FACT}"\nT-7;none\n'.encode(),
        ".json": f'[{{"id": "v", "text": "{FACT}", "bar": 3.5}}]'.encode(),
        ".jsonl": f'{{"id": "v", "text": "{FACT}"}}\n{{"id": "w", "text": "More."}}\n'.encode(),
    }
    writers: dict[str, Callable[[Path], object]] = {
        ".pdf": pdf_files.ruled_table,
        ".docx": office_files.write_docx,
        ".pptx": office_files.write_pptx,
        ".xlsx": office_files.write_xlsx,
        ".ods": sheet_files.write_ods,
        ".xlsb": sheet_files.write_xlsb,
        ".xls": sheet_files.write_xls,
        ".epub": office_files.write_epub,
        ".eml": office_files.write_mail,
        ".py": office_files.write_code,
    }
    with TemporaryDirectory() as folder:
        for suffix, write in writers.items():
            path = Path(folder) / f"a{suffix}"
            write(path)
            made[suffix] = path.read_bytes()
    return made


def files() -> Iterator[tuple[str, bytes]]:
    """Every file that is no special thing of the file system: its name and what it holds."""
    for suffix, data in samples().items():
        yield f"sound{suffix}", data
        yield from _damaged(suffix, data)
        yield f"wrong/empty{suffix}", b""
        yield f"wrong/blank{suffix}", b" \r\n\t\n \n" * 50
        yield f"wrong/noise{suffix}", random.Random(suffix).randbytes(20_000)
        yield f"wrong/zeros{suffix}", bytes(10_000)
    yield from _misnamed()
    yield from _encoded()
    yield from _odd_texts()
    yield from zoo_bombs.files()


def _damaged(suffix: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    dice = random.Random(f"damage{suffix}")
    for share in (10, 50, 90):
        yield f"cut/{share}{suffix}", data[: len(data) * share // 100]
    yield f"cut/last{suffix}", data[:-1]
    yield f"cut/head{suffix}", data[len(data) // 10 :]
    middle = len(data) // 2
    yield f"damaged/hole{suffix}", data[:middle] + bytes(64) + data[middle + 64 :]
    yield f"damaged/twice{suffix}", data + data
    for number in range(2):
        changed = bytearray(data)
        for _ in range(max(3, len(data) // 500)):
            changed[dice.randrange(len(data))] = dice.randrange(256)
        yield f"damaged/flips{number}{suffix}", bytes(changed)
    if data.startswith(b"PK"):
        yield f"damaged/short-part{suffix}", _short_part(data)


def _short_part(data: bytes) -> bytes:
    """The archive, of whose last part fewer bytes are there than its directory says."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.infolist()[-1].file_size += 1_000_000
        new.infolist()[-1].compress_size += 1_000_000
    return out.getvalue()


def _misnamed() -> Iterator[tuple[str, bytes]]:
    known = samples()
    for kind, names in {
        ".pdf": (".docx", ".md", ".html", ".eml", ".py", ".xlsx", ".csv"),
        ".docx": (".pdf", ".xlsx", ".pptx", ".epub", ".txt", ".json"),
        ".xlsx": (".docx", ".md", ".ods", ".xls"),
        ".html": (".pdf", ".docx", ".eml", ".md"),
        ".txt": (".pdf", ".docx", ".xlsx", ".epub", ".eml", ".json", ".jsonl", ".xyz"),
    }.items():
        for name in names:
            yield f"misnamed/{kind[1:]}{name}", known[kind]
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)
    for name in (".pdf", ".txt", ".md", ".docx", ".png", ""):
        yield f"misnamed/picture{name}", picture
    yield "misnamed/old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
    yield "misnamed/locked.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
    yield "misnamed/rich.txt", b"{\\rtf1\\ansi words}"


ENCODED = {
    "utf-8-sig": FACT, "utf-16": FACT, "utf-16-le": FACT, "utf-16-be": FACT, "utf-32": FACT,
    "latin-1": "Die Anlage läuft, die Größe ist geprüft, das Öl über dem Ventil ist für Frühling und Herbst.",
    "cp1252": "Le réglage “fin” est terminé – où la pièce coûte 3 €, l’été, à côté de la fenêtre.",
    "cp1251": "Клапан открывается при давлении три с половиной бара, насос работает всю ночь.",
    "koi8-r": "Клапан открывается при давлении три с половиной бара, насос работает всю ночь.",
    "shift_jis": "バルブは圧力が三・五バールになると開きます。ポンプは一晩中動きます。",
    "euc-jp": "バルブは圧力が三・五バールになると開きます。ポンプは一晩中動きます。",
    "iso2022_jp": "バルブは圧力が三・五バールになると開きます。",
    "gb18030": "阀门在三点五巴时打开。水泵整夜运行，班长签字。",
    "big5": "閥門在三點五巴時打開。水泵整夜運行，班長簽字。",
    "euc-kr": "밸브는 삼점오 바에서 열립니다. 펌프는 밤새 작동합니다.",
    "iso8859-7": "Η βαλβίδα ανοίγει στα τρία και μισό μπαρ και η αντλία δουλεύει όλη νύχτα.",
    "cp1255": "השסתום נפתח בלחץ של שלושה וחצי בר, והמשאבה עובדת כל הלילה.",
    "cp1256": "يفتح الصمام عند ضغط ثلاثة ونصف بار وتعمل المضخة طوال الليل.",
    "cp1250": "Zawór otwiera się przy trzech i pół bara, pompa pracuje całą noc, źdźbło.",
    "mac-roman": "Die Anlage läuft, die Größe ist geprüft, das Öl über dem Ventil.",
    "tis-620": "วาล์วเปิดที่แรงดันสามจุดห้าบาร์ ปั๊มทำงานตลอดคืน",
    "utf-7": "Größe und Öl.",
}  # fmt: skip


def _encoded() -> Iterator[tuple[str, bytes]]:
    for encoding, text in ENCODED.items():
        yield f"encoded/{encoding}.txt", "\n".join([text] * 5).encode(encoding)
    yield "encoded/ebcdic.txt", (FACT * 5).encode("cp037")
    yield "encoded/invalid.txt", FACT.encode() + b" \xff\xfe\xfa " + FACT.encode()
    yield "encoded/overlong.txt", FACT.encode() + b" \xc0\xaf \xe0\x80\xaf"
    yield "encoded/surrogates.txt", FACT.encode() + b" \xed\xa0\x80\xed\xb0\x80"
    yield "encoded/odd.txt", "Ventil".encode("utf-16") + b"\x00"
    yield "encoded/mixed.txt", "Größe\n".encode() * 3 + "Größe\n".encode("latin-1")
    yield "encoded/declared.html", '<meta charset="cp1251"><p>Клапан открывается.</p>'.encode("cp1251")


def _odd_texts() -> Iterator[tuple[str, bytes]]:
    texts = {
        "arabic.md": "# الصمام\n\nيفتح الصمام T-1042 عند 3.5 بار.",
        "hebrew.md": "# שסתום\n\nהשסתום T-1042 נפתח ב-3.5 בר.",
        "controls.md": "Valve \u202eT-1042\u202c opens\u2066 at 3.5 bar\u2069.\u200b\ufeff",
        "zalgo.md": "V̸̡̢a̷l̶v̵e" + "\u0301" * 3000 + " opens.",
        "joined.md": "👩‍👩‍👧‍👦" * 500,
        "separators.txt": "One\u2028Two\u2029Three\x85Four\x0bFive\x0cSix",
        "nul.txt": "Valve\x00 opens\x00.",
        "escapes.log": "\x1b[31mValve\x1b[0m opens.\n" * 20,
        "old-mac.txt": "One.\rTwo.\rThree.\r",
        "front.md": "---\ntitle: [a, b\nx: {\n---\nWords.",
        "unended.md": "---\ntitle: a\nWords without an end of the matter.",
        "bare.md": "---\n---\n",
        "headings.md": "# a\n" * 5000,
        "fences.md": "```\n" * 4001,
        "table.md": ("|" + " a |" * 500 + "\n") * 50,
        "quotes.csv": 'a,b\n"unended,1\n2,3\n',
        "wide.csv": ",".join(f"c{i}" for i in range(20_000)) + "\n" + ",".join(["1"] * 20_000),
        "ragged.csv": "a,b\n1\n1,2,3,4\n\n,,\n",
        "headless.csv": "\n\n1,2\n",
        "same.csv": "a,a,a\n1,2,3\n",
        "tabs.tsv": "a\tb\n1\t2\n",
        "nan.json": '[{"text": "x", "v": NaN, "w": 1e999, "u": -Infinity}]',
        "scalar.json": "42",
        "deep.json": "[" * 100_000,
        "big.json": '{"text": "x", "n": ' + "9" * 5000 + "}",
        "keys.json": '{"text": "x", "text": "y", "": "z"}',
        "bad.jsonl": '{"text": "x"}\nno\n{"text": 5}\n[]\nnull\n{"id": "", "text": "y"}\n{"text": ""}\n',
        "twins.jsonl": '{"id": "same", "text": "x"}\n{"id": "same", "text": "y"}\n',
        "indent.py": "\t" * 3000 + "x = 1\n" * 300,
        "minified.js": "var a=1;" * 50_000,
        "script.html": "<script>while(1){}</script><p>words</p>",
        "unclosed.html": "<p>" * 20_000 + "words",
        "entities.html": "&amp;&#0;&#xD800;&#x10FFFF;&nosuch; words",
        "comment.html": "<!-- never ended <p>words</p>",
        "frames.html": "<frameset><frame src=x></frameset>",
        "cdata.html": "<![CDATA[words]]><p>more</p>",
        "hidden.html": "<p hidden>x</p><nav>y</nav>",
        "headers.eml": "From: a\n" * 3000 + "\nwords",
        "bodyless.eml": "From: a@b\nSubject: x\n",
        "charset.eml": "From: a@b\nContent-Type: text/plain; charset=nosuch\n\nGr\u00f6\u00dfe",
        "base64.eml": "From: a@b\nContent-Transfer-Encoding: base64\n\n!!!not base64!!!",
        "boundary.eml": "From: a@b\nContent-Type: multipart/mixed\n\nwords",
        "unended.eml": 'From: a@b\nContent-Type: multipart/mixed; boundary="x"\n\n--x\n\nwords',
        "words.eml": "no header at all",
        "README": FACT,
    }
    for name, text in texts.items():
        yield f"odd/{name}", text.encode("utf-8", "surrogatepass")


NAMES = [
    "new\nline.md", "tab\t.md", "bell\a.md", " leading.md", "trailing .md", "-dash.md", "quote'\".md", "a;b&c.md",
    "per%20cent.md", "#hash.md", "back\\slash.md", "x" * 240 + ".md", "..md", "UPPER.MD", "two.tar.md", "émoji😀.md",
    "\u202eright.md", "dot.", "no suffix", "CON.md", "*.md", "$(rm).md",
]  # fmt: skip
"""Names that programs stumble over; what they hold is sound."""


def build(root: Path, *, tiny: int) -> list[str]:
    """Write the zoo below a folder, with so many tiny files in a folder of their own; the names of its `files`."""
    written: list[str] = []
    for name, data in files():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(name)
    names = root / "names"
    names.mkdir()
    for name in NAMES:
        (names / name).write_text(FACT, "utf-8")
    Path(os.fsdecode(os.fsencode(names) + b"/bytes\xff\xfe.md")).write_text(FACT, "utf-8")
    links = root / "links"
    links.mkdir()
    (links / "loop").symlink_to(links)
    (links / "self.md").symlink_to("self.md")
    (links / "one.md").symlink_to("two.md")
    (links / "two.md").symlink_to("one.md")
    (links / "out.md").symlink_to("/etc/hostname")
    (links / "gone.md").symlink_to("nowhere.md")
    (links / "up").symlink_to("..")
    os.mkfifo(links / "pipe.md")
    (links / "folder.md").mkdir()
    with (root / "sparse.txt").open("wb") as handle:
        handle.truncate(300 * 2**20)
    many = root / "tiny"
    many.mkdir()
    for number in range(tiny):
        (many / f"{number}.txt").write_text(f"Note {number}.", "utf-8")
    return written
