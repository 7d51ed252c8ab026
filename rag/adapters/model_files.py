"""Model files: packaged, by path, or from the hub; verified before they are loaded. Knows no engine.

Hashes are never invented: a packaged file's is pinned in its profile, a hub file's is recorded at its first pull
and checked ever after, a file given by path is what its owner says it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rag.adapters.gguf_header import read_header
from rag.adapters.verified import sha256_of_file
from rag.catalog import storage_error, write_atomically
from rag.errors import ModelUnavailable
from rag.profiles import PROFILES, Profile, detect_template

HUB_FILE = re.compile(r"(?P<repository>[\w.\-]+/[\w.\-]+):(?P<file>[\w.\-/]+\.gguf)")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A verified GGUF and how it is spoken to."""

    name: str
    path: Path
    sha256: str
    template: str
    licence: str
    context_tokens: int
    """The longest context the file was made for; 0 where it does not say."""


def resolve(name: str, *, cache: Path, template: str = "auto") -> ModelFile:
    """The file behind a profile's name, a path, or `owner/repository:file.gguf`, verified.

    cache: the folder of pulled files and recorded hashes. Raises ModelUnavailable with the way out.
    """
    profile = PROFILES.get(name)
    path = _locate(name, profile, cache)
    header = read_header(path)
    sha256 = sha256_of_file(path, cache)
    expected = (profile.sha256 if profile else "") or recorded(cache).get(name, "")
    if expected and sha256 != expected:
        way = (
            "reinstall its package"
            if profile and profile.package
            else f"`understudy models pull {name}` fetches it again"
        )
        raise ModelUnavailable(f"{path} is altered (sha256 {sha256}, recorded {expected}): {way}")
    architecture = str(header.get("general.architecture", ""))
    chosen = template
    if template == "auto":
        told = detect_template(architecture, header.get("tokenizer.chat_template"))
        chosen = profile.template if profile else told or "chatml"
    return ModelFile(
        name=name,
        path=path,
        sha256=sha256,
        template=chosen,
        licence=(profile.licence if profile else "") or str(header.get("general.license", "")),
        context_tokens=int(header.get(f"{architecture}.context_length", 0)),
    )


def pull(name: str, *, cache: Path, offline: bool) -> ModelFile:
    """Fetch a hub model and record its hash; a packaged one is only verified.

    Raises ModelUnavailable when offline, unknown, or not to be had.
    """
    profile = PROFILES.get(name)
    if profile is not None and profile.package:
        return resolve(name, cache=cache)
    repository, file = _hub_address(name, profile)
    if offline:
        raise ModelUnavailable(
            f"{name} must be fetched, and this is offline: UNDERSTUDY_NETWORK__OFFLINE=false allows it"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        path = Path(hf_hub_download(repository, file, local_dir=_hub_folder(cache, repository)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ModelUnavailable(f"{repository}:{file} could not be fetched ({error}): check name and network") from error
    read_header(path)
    known = recorded(cache)
    sha256 = sha256_of_file(path, cache)
    if known.get(name, sha256) != sha256:
        raise ModelUnavailable(
            f"the hub now serves another {name} (sha256 {sha256}) than was recorded ({known[name]}): "
            f"remove its entry from {cache / 'registry.json'} if that is right"
        )
    known[name] = sha256
    try:
        write_atomically(cache / "registry.json", json.dumps(known, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise storage_error(error, cache) from error
    return resolve(name, cache=cache)


def recorded(cache: Path) -> dict[str, str]:
    """Name to hex sha256 of every pulled model."""
    path = cache / "registry.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelUnavailable(f"{path} is damaged ({error}): remove it and pull the models again") from error
    return {str(name): str(sha256) for name, sha256 in found.items()}


def _locate(name: str, profile: Profile | None, cache: Path) -> Path:
    if profile is not None and profile.package:
        spec = find_spec(profile.package)
        if spec is None or spec.origin is None:
            raise ModelUnavailable(
                f"the package of {name} is not installed: `pip install {profile.package.replace('_', '-')}`"
            )
        return Path(spec.origin).parent / profile.file
    if profile is None and not HUB_FILE.fullmatch(name):
        path = Path(name).expanduser()
        if path.is_file():
            return path
        known = ", ".join(PROFILES)
        raise ModelUnavailable(
            f"there is no model {name!r}: give a GGUF file, 'owner/repository:file.gguf', or one of {known}"
        )
    repository, file = _hub_address(name, profile)
    path = _hub_folder(cache, repository) / file
    if not path.is_file():
        raise ModelUnavailable(
            f"{name} was not fetched yet: UNDERSTUDY_NETWORK__OFFLINE=false understudy models pull {name}"
        )
    return path


def _hub_address(name: str, profile: Profile | None) -> tuple[str, str]:
    if profile is not None:
        return profile.repository, profile.file
    match = HUB_FILE.fullmatch(name)
    if match is None or ".." in name:
        raise ModelUnavailable(f"{name!r} is no 'owner/repository:file.gguf' and no profile; `understudy models list`")
    return match["repository"], match["file"]


def _hub_folder(cache: Path, repository: str) -> Path:
    return cache / "hub" / repository.replace("/", "--")
