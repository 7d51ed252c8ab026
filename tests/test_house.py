"""The house rules that no linter holds: files, names, weight of imports, and documents that keep their word."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rag import errors
from rag.settings import variables

ROOT = Path(__file__).parents[1]
PACKAGES = ("rag", "ingest", "api", "evaluation", "integrations")
HEAVY = ("torch", "transformers", "sentence_transformers", "llama_cpp", "llama_index", "openvino", "qdrant_client")
LONGEST = 400


def is_door(path: Path) -> bool:
    """Whether the last word on an error may be spoken here: command lines, the API, the engine's own process."""
    relative = path.relative_to(ROOT)
    return relative.parts[0] == "api" or relative.name in ("cli.py", "__main__.py", "worker.py")


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "__pycache__" not in path.parts]


SOURCES = python_files(*PACKAGES)
EVERYTHING = python_files(*PACKAGES, "tests", "bench", "scripts")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def ignored() -> list[str]:
    return [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines() if line]


def own_files() -> Iterator[Path]:
    """Every file that belongs to the project, the ignored ones left out."""
    patterns = [*ignored(), ".git"]

    def walk(folder: Path) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            if any(fnmatch.fnmatch(entry.name, pattern) for pattern in patterns):
                continue
            if entry.is_dir():
                yield from walk(entry)
            else:
                yield entry

    return walk(ROOT)


# --- files -------------------------------------------------------------------------------------


def test_there_is_something_to_hold_to_the_rules() -> None:
    assert len(SOURCES) > 10
    assert ROOT / "rag" / "types.py" in SOURCES


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_a_file_begins_with_its_idea(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path))
    assert docstring, "no docstring"
    assert re.search(r"[.:!?]$", docstring.splitlines()[0]), "the first line is no whole sentence"


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_a_file_is_short_enough_to_be_read(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines: split it by idea"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=name_of)
def test_a_package_file_holds_only_its_docstring(path: Path) -> None:
    (only,) = tree_of(path).body
    assert isinstance(only, ast.Expr)


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_nothing_is_named_after_its_vagueness(path: Path) -> None:
    vague = re.compile(r"(Manager|Helpers?|Base|Impl|Utils?)(?![a-z])")
    classes = [node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if vague.search(name)] == []
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc", "base", "manager")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_broad_except_stands_at_a_door_or_raises_again(path: Path) -> None:
    def broad(handler: ast.ExceptHandler) -> bool:
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        return any(item is None or getattr(item, "id", "") in ("Exception", "BaseException") for item in caught)

    def raises_again(handler: ast.ExceptHandler) -> bool:
        return isinstance(handler.body[-1], ast.Raise)

    handlers = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
    swallowed = [node.lineno for node in handlers if broad(node) and not raises_again(node)]
    assert is_door(path) or swallowed == [], f"lines {swallowed} swallow what they cannot know"


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_a_check_is_switched_off_with_a_reason_beside_it(path: Path) -> None:
    switch = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?:[:\[][\w\s,\-\]]*)?(?P<reason>.*)$")
    bare = []
    for number, (before, line) in enumerate(pairwise(["", *path.read_text("utf-8").splitlines()]), start=1):
        match = switch.search(line)
        if match and not match["reason"].strip(" #") and not before.strip().startswith("#"):
            bare.append(number)
    assert bare == [], f"lines {bare} give no reason"


# --- imports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["rag.build", "rag.pipeline", "ingest.cli", "api.__main__"])
def test_importing_a_door_pulls_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- errors ------------------------------------------------------------------------------------


def error_classes() -> dict[str, type[errors.RagError]]:
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if issubclass(value, errors.RagError)}


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    parents = ["object"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"(?P<indent>(?:│   |    )*)(?:├── |└── )(?P<name>\w+)", line)
        if line.startswith("RagError"):
            parents = ["RagError"]
        elif match:
            depth = len(match["indent"]) // 4 + 1
            parents = [*parents[:depth], match["name"]]
            drawn[match["name"]] = parents[depth - 1]
    real = {name: value.__bases__[0].__name__ for name, value in error_classes().items() if name != "RagError"}
    assert drawn == real


def test_every_error_has_a_code_of_its_own() -> None:
    codes = {name: value.__dict__.get("code") for name, value in error_classes().items()}
    assert None not in codes.values()
    assert len(set(codes.values())) == len(codes)
    for code in codes.values():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", str(code))


def test_every_error_says_in_its_docstring_when_it_is_raised() -> None:
    assert [name for name, value in error_classes().items() if not value.__doc__] == []


def test_errors_are_defined_in_one_file() -> None:
    names = set(error_classes())
    elsewhere = [
        f"{name_of(path)}: {node.name}"
        for path in python_files("rag")
        if path.name != "errors.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and {getattr(base, "id", "") for base in node.bases} & names
    ]
    assert elsewhere == []
    assert importlib.import_module("rag.errors") is errors


# --- documents ---------------------------------------------------------------------------------

README = ROOT / "README.md"
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def documents() -> list[Path]:
    return [path for path in own_files() if path.suffix == ".md" and "corpora" not in path.parts]


def readme_tree() -> list[str]:
    """Paths and patterns of the tree in README.md: the fenced block with a line for `rag/`, indented by folder.

    The first column, up to two spaces, names one path, or several divided by ', '.
    """
    blocks = [block for block in FENCE.findall(README.read_text("utf-8")) if re.search(r"^rag/\s", block, re.MULTILINE)]
    assert len(blocks) == 1, "README.md needs one fenced block with the tree of files"
    paths: list[str] = []
    folders: list[tuple[int, str]] = []
    for line in blocks[0].splitlines():
        plain = re.sub(r"[│├└─]", " ", line)
        if not plain.strip():
            continue
        indent = len(plain) - len(plain.lstrip())
        folders = [(depth, folder) for depth, folder in folders if depth < indent]
        prefix = folders[-1][1] if folders else ""
        names = re.split(r"\s{2,}", plain.strip())[0].split(", ")
        paths += [prefix + name for name in names]
        if names[0].endswith("/"):
            folders.append((indent, prefix + names[0]))
    return paths


def test_the_readme_lists_every_top_level_file_and_every_file_of_a_package() -> None:
    listed = readme_tree()
    top = sorted({name_of(path).split("/")[0] for path in own_files()})
    wanted = [name + "/" if (ROOT / name).is_dir() else name for name in top if not name.startswith(".")]
    wanted += [name_of(path) for path in SOURCES if path.name != "__init__.py"]
    missing = [name for name in wanted if not any(fnmatch.fnmatch(name, pattern) for pattern in listed)]
    assert missing == [], "not in the tree of README.md"
    assert len(listed) == len(set(listed)), "twice in the tree of README.md"


def test_the_readme_lists_nothing_that_is_not_there() -> None:
    assert [name for name in readme_tree() if not list(ROOT.glob(name.rstrip("/")))] == []


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_every_make_target_is_in_the_readme_and_none_that_is_not_there() -> None:
    text = README.read_text("utf-8")
    code = "\n".join(FENCE.findall(text) + re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))
    named = set(re.findall(r"(?:^|[\s;&])make ([a-z]+)\b", code, re.MULTILINE))
    assert named <= make_targets()
    assert make_targets() - named <= {"help", "suites"}


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))
    inside = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in inside if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", [*documents(), *SOURCES], ids=name_of)
def test_every_file_that_is_named_exists(path: Path) -> None:
    if path.name == "experiments.md":
        pytest.skip("a dated log may name files that have gone since")
    folders = "|".join((*PACKAGES, "tests", "docs", "corpora", "bench", "scripts"))
    named = re.findall(
        rf"(?<![\w./<>-])((?:{folders})/[\w./-]+\.(?:py|md|toml|jsonl|sh|html))\b", path.read_text("utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", [*documents(), *SOURCES, ROOT / "Makefile"], ids=name_of)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\bUNDERSTUDY_[A-Z]+__[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    assert named <= set(variables())


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"


# --- what must not be told ---------------------------------------------------------------------

ELSEWHERE = re.compile(
    r"(?<![\w.])/(?:home|root|work|Users)/\w"  # a path of one machine
    r"|\.\./shared\b"
    r"|://[^/\s:@'\"<>{}$]+:[^/\s@'\"<>{}$]+@"  # a URL with credentials
    r"|\b(?:pypi\.org|pythonhosted\.org|download\.pytorch\.org)\b"  # where packages come from is the user's affair
)


def test_no_file_tells_of_one_machine_its_registries_or_its_credentials() -> None:
    found = []
    for path in own_files():
        if path == Path(__file__) or "corpora" in path.parts:
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {match.group()}" for match in ELSEWHERE.finditer(text)]
    assert found == []
