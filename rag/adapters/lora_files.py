"""LoRA adapters as files: the shipped one, others by path, and which domain is answered with which.

An adapter's card (the same name, `.json`) says which weights it was trained on, on what, and how well it does; a file
without one is taken at its owner's word. Knows no llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.adapters.verified import sha256_of_file
from rag.errors import ModelUnavailable

SHIPPED = Path(str(files("rag"))) / "tuned"
"""Adapters that come with the product, one for each model that has one."""


class Card(BaseModel):
    """What a program needs of a card; the rest is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_sha256: str
    """of the GGUF file that was trained on"""
    sha256: str
    """of the adapter's own file"""
    trained: tuple[str, ...] = ()
    """`rag.prompt.seen_hash` of the questions that it was trained on"""
    checked: tuple[str, ...] = ()
    """of those that it was chosen or calibrated by"""


@dataclass(frozen=True, slots=True)
class Adapters:
    """Files by their hex sha256, and which answers each domain."""

    files: Mapping[str, Path]
    domains: Mapping[str, str]
    """domain -> hex sha256 of its adapter, '' for none"""
    default: str

    def of(self, domain: str) -> str:
        """The adapter that a domain is answered with, '' for none."""
        return self.domains.get(domain, self.default)


def card_of(adapter: Path) -> Card | None:
    """The card beside an adapter, or None. Raises ModelUnavailable for one that cannot be read."""
    path = adapter.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        return Card.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelUnavailable(f"the card {path} of an adapter cannot be read: {error}") from None


def resolve(wanted: str, by_domain: Mapping[str, str], *, model: Path, model_sha256: str, cache: Path) -> Adapters:
    """The adapters that settings name.

    wanted: 'auto' for the one shipped for this very model, if there is one; 'none'; or a path
    by_domain: domain -> the same
    Raises ModelUnavailable for a file that is missing, damaged, or trained on other weights.
    """
    found: dict[str, Path] = {}

    def loaded(choice: str) -> str:
        path = shipped(model_sha256) if choice == "auto" else None if choice == "none" else Path(choice)
        if path is None:
            return ""
        _check(path, model, model_sha256, cache)
        sha256 = sha256_of_file(path, cache)
        found[sha256] = path
        return sha256

    return Adapters(found, {domain: loaded(choice) for domain, choice in by_domain.items()}, loaded(wanted))


def fingerprint(adapters: Adapters) -> tuple[str, ...]:
    """What of the adapters changes the model's words."""
    return (adapters.default, *(f"{domain}:{sha256}" for domain, sha256 in sorted(adapters.domains.items())))


def shipped(model_sha256: str) -> Path | None:
    """The adapter that comes with the product for the weights of this hash, or None."""
    for path in sorted(SHIPPED.glob("*.gguf")):
        if (card := card_of(path)) and card.base_sha256 == model_sha256:
            return path
    return None


def _check(path: Path, model: Path, model_sha256: str, cache: Path) -> None:
    if not path.is_file():
        raise ModelUnavailable(
            f"there is no adapter {path}: `understudy tune` makes one, UNDERSTUDY_MODEL__ADAPTER=none does without"
        )
    card = card_of(path)
    if card is None:
        return
    if card.base_sha256 != model_sha256:
        raise ModelUnavailable(
            f"the adapter {path} was trained on other weights than {model}: tune one for this model, or set "
            "UNDERSTUDY_MODEL__ADAPTER=none"
        )
    if sha256_of_file(path, cache) != card.sha256:
        raise ModelUnavailable(f"the adapter {path} is not the file that its card describes: fetch or tune it again")
