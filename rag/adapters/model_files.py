"""Model files: packaged, by path, or from the hub; verified before they are loaded. Knows no engine.

Hashes are never invented: a packaged file's is pinned in its profile, a hub file's is recorded at its first pull
and checked ever after, a file given by path is what its owner says it is.

    <cache>/hub/<owner>--<repository>/<file>.gguf
    <cache>/registry.json      'owner/repository:file' to the hex sha256 of its first pull
    <cache>/sha256.json        see rag.adapters.verified
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt

from rag.adapters.gguf_header import read_header
from rag.adapters.model_hub import Progress, download
from rag.adapters.verified import sha256_of_file
from rag.catalog import storage_error, write_atomically
from rag.errors import InvalidSettings, ModelUnavailable
from rag.profiles import PROFILES, TEMPLATES, Profile, detect_template
from rag.types import Value

HUB_FILE = re.compile(r"(?P<repository>\w[\w.\-]*/\w[\w.\-]*):(?P<file>\w[\w.\-]*(?:/\w[\w.\-]*)*\.gguf)")
SPLIT_FILE = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

log = logging.getLogger("understudy")


class ModelFile(Value):
    """A verified GGUF and how it is spoken to."""

    name: str
    path: Path
    sha256: str
    template: str = Field(description="a name of rag.profiles.TEMPLATES")
    licence: str
    weights_format: str = Field(description="of the file, for example 'Q4_1'; empty where it does not say")
    context_tokens: NonNegativeInt = Field(description="the longest the file was made for; 0: it does not say")


class ModelEntry(Value):
    """A model that can be named, and what is known of its file here."""

    name: str
    source: str = Field(description="'package …' or 'owner/repository:file'")
    parameters: str = ""
    licence: str = ""
    template: str = ""
    context_tokens: NonNegativeInt = 0
    megabytes: NonNegativeInt = 0
    path: str = Field(default="", description="empty where it is not here")
    verified: bool = Field(default=False, description="here, with the hash that is pinned or was recorded")


class Verification(Value):
    """What hashing a file anew gave."""

    name: str
    path: str
    state: Literal["ok", "altered", "missing"]
    expected: str
    found: str = ""


def resolve(name: str, *, cache: Path, template: str = "auto") -> ModelFile:
    """The file behind a profile's name, a path, or `owner/repository:file.gguf`, verified.

    cache: the folder of pulled files and recorded hashes; template: a name of TEMPLATES, or 'auto': the profile's,
    else what the file's own template resembles, else ChatML with a warning.
    Raises ModelUnavailable with the way out, InvalidSettings for an unknown template.
    """
    if template != "auto" and template not in TEMPLATES:
        raise InvalidSettings(f"UNDERSTUDY_MODEL__TEMPLATE: {template!r} is none of auto, {', '.join(TEMPLATES)}")
    place = _present(name, cache)
    header = read_header(place.path)
    sha256 = sha256_of_file(place.path, cache)
    if place.expected not in ("", sha256):
        raise ModelUnavailable(f"{place.path} is altered (sha256 {sha256}, expected {place.expected}): {place.mend}")
    if template == "auto" and place.profile is None:
        told = detect_template(header.architecture, header.chat_template)
        if told is None:
            log.warning(
                "%s has a chat template like none of ours, so it is spoken to in plain ChatML; "
                "UNDERSTUDY_MODEL__TEMPLATE names another of %s",
                place.path,
                ", ".join(TEMPLATES),
            )
        template = told or "chatml"
    elif template == "auto" and place.profile is not None:
        template = place.profile.template
    return ModelFile(
        name=name,
        path=place.path,
        sha256=sha256,
        template=template,
        licence=place.profile.licence if place.profile else header.licence,
        weights_format=header.file_type,
        context_tokens=header.context_tokens,
    )


def pull(name: str, *, cache: Path, offline: bool, progress: Progress | None = None) -> ModelFile:
    """Fetch a hub model and record its hash; a packaged one is only verified.

    Raises ModelUnavailable when offline, unknown, not to be had or another than was recorded; StorageFull.
    """
    known = recorded(cache)
    place = _place(name, cache, known)
    if not place.repository:
        return resolve(name, cache=cache)
    if SPLIT_FILE.search(place.file):
        raise ModelUnavailable(
            f"{place.file} is one of several parts, which are not pulled: download them all, then give the path"
        )
    if offline:
        raise ModelUnavailable(
            f"{name} must be fetched, and this is offline: `UNDERSTUDY_NETWORK__OFFLINE=false understudy models pull "
            f"{name}` allows it"
        )
    altered = bool(place.expected) and place.path.is_file() and sha256_of_file(place.path, cache) != place.expected
    folder = cache / "hub" / place.repository.replace("/", "--")
    download(place.repository, place.file, folder, anew=altered, progress=progress)
    read_header(place.path)
    sha256 = sha256_of_file(place.path, cache)
    if place.expected not in ("", sha256):
        raise ModelUnavailable(
            f"the hub now serves another {place.source} (sha256 {sha256}) than was recorded ({place.expected}): "
            f"remove its line from {cache / 'registry.json'} if that is right, and pull again"
        )
    known[place.source] = sha256
    try:
        write_atomically(cache / "registry.json", json.dumps(known, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise storage_error(error, cache) from error
    return resolve(name, cache=cache)


def listing(cache: Path) -> list[ModelEntry]:
    """Every profile, then every other pulled model. A file that is new here is hashed, once."""
    entries = []
    for place in _places(cache):
        here = place.path.is_file()
        entry = ModelEntry(
            name=place.name,
            source=place.source,
            megabytes=round(place.path.stat().st_size / 1e6) if here else 0,
            path=str(place.path) if here else "",
            verified=here and sha256_of_file(place.path, cache) == place.expected,
        )
        if (profile := place.profile) is not None:
            entry = entry.model_copy(
                update={
                    "parameters": profile.parameters,
                    "licence": profile.licence,
                    "template": profile.template,
                    "context_tokens": profile.context_tokens,
                    "megabytes": entry.megabytes or profile.megabytes,
                }
            )
        entries.append(entry)
    return entries


def verify(cache: Path) -> list[Verification]:
    """Hash every packaged and every pulled file anew, whatever is remembered of it."""
    found = []
    for place in _places(cache):
        if not place.expected:
            continue
        result = Verification(name=place.name, path=str(place.path), state="missing", expected=place.expected)
        if place.path.is_file():
            sha256 = sha256_of_file(place.path, cache, anew=True)
            state = "ok" if sha256 == place.expected else "altered"
            result = result.model_copy(update={"state": state, "found": sha256})
        found.append(result)
    return found


def recorded(cache: Path) -> dict[str, str]:
    """'owner/repository:file' to the hex sha256 of every pulled model."""
    path = cache / "registry.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelUnavailable(f"{path} is damaged ({error}): remove it and pull the models again") from error
    if not isinstance(found, dict):
        raise ModelUnavailable(f"{path} is damaged (no table of hashes): remove it and pull the models again")
    return {str(name): str(sha256) for name, sha256 in found.items()}


# --- where a name leads ---


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the file of a name is or will be, and the hash it must have, empty where none is known."""

    name: str
    path: Path
    expected: str = ""
    profile: Profile | None = None
    repository: str = ""
    file: str = ""

    @property
    def source(self) -> str:
        if self.repository:
            return f"{self.repository}:{self.file}"
        return f"package {self.profile.package}" if self.profile else str(self.path)

    @property
    def mend(self) -> str:
        if self.profile is not None and self.profile.package:
            return f"`pip install --force-reinstall {self.profile.package.replace('_', '-')}` brings the original"
        return f"`UNDERSTUDY_NETWORK__OFFLINE=false understudy models pull {self.name}` fetches it"


def _place(name: str, cache: Path, known: dict[str, str]) -> _Place:
    profile = PROFILES.get(name)
    if profile is not None and profile.package:
        spec = find_spec(profile.package)
        folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path(profile.package)
        return _Place(name, folder / profile.file, profile.sha256, profile)
    if profile is not None:
        repository, file = profile.repository, profile.file
    elif match := HUB_FILE.fullmatch(name):
        repository, file = match["repository"], match["file"]
    else:
        return _Place(name, Path(name))
    path = cache / "hub" / repository.replace("/", "--") / file
    return _Place(name, path, known.get(f"{repository}:{file}", ""), profile, repository, file)


def _places(cache: Path) -> list[_Place]:
    """Of every profile, then of every other recorded model."""
    known = recorded(cache)
    places = [_place(name, cache, known) for name in PROFILES]
    shown = {place.source for place in places}
    return places + [_place(source, cache, known) for source in sorted(known) if source not in shown]


def _present(name: str, cache: Path) -> _Place:
    """The place of a file that is there, and whose hash is known unless it was given by path."""
    place = _place(name, cache, recorded(cache))
    if place.profile is None and not place.repository:
        try:
            path = place.path.expanduser()
            if path.is_file():
                return _Place(name, path)
        except (OSError, RuntimeError):  # too long for a file name; '~' of a user that is not there
            pass
        raise ModelUnavailable(
            f"there is no model {name[:200]!r}: give the path of a GGUF file, 'owner/repository:file.gguf', or one of "
            f"{', '.join(PROFILES)}"
        )
    if not place.path.is_file():
        raise ModelUnavailable(f"the file of {name} is not here ({place.path}): {place.mend}")
    if not place.expected:
        raise ModelUnavailable(
            f"{place.path} is there and its hash was never recorded: {place.mend} and records it, or give the path"
        )
    return place
