"""Model files are found, verified once, and refused in one sentence where something is wrong with them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
from pathlib import Path

import pytest

from rag.adapters.model_files import listing, pull, recorded, resolve, verify
from rag.errors import InvalidSettings, ModelUnavailable
from rag.profiles import PROFILES
from tests.fakes.gguf_files import write_gguf

ADDRESS = "owner/tiny-GGUF:tiny.gguf"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "own.gguf", "gemma2")
    return tmp_path / "own.gguf"


@pytest.fixture
def pulled(cache: Path) -> Path:
    """A file as `pull` leaves it: in its folder, its hash recorded."""
    path = cache / "hub" / "owner--tiny-GGUF" / "tiny.gguf"
    path.parent.mkdir(parents=True)
    write_gguf(path, "qwen3")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (cache / "registry.json").write_text(json.dumps({ADDRESS: sha256}), "utf-8")
    return path


def alter(path: Path) -> None:
    """Change the last byte and leave size and modification time as they were."""
    status = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_default_comes_out_of_its_package_verified(cache: Path) -> None:
    file = resolve("smollm2-135m-instruct", cache=cache)
    assert file.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert (file.template, file.weights_format, file.licence) == ("smollm2", "Q4_1", "Apache-2.0")
    assert file.context_tokens == 8192


def test_a_file_is_taken_by_its_path_with_what_it_says_of_itself(own: Path, cache: Path) -> None:
    file = resolve(str(own), cache=cache)
    assert file.path == own
    assert (file.template, file.weights_format, file.licence) == ("gemma", "F32", "apache-2.0")
    assert file.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()


def test_the_setting_overrides_the_template(own: Path, cache: Path) -> None:
    assert resolve(str(own), cache=cache, template="llama3").template == "llama3"
    with pytest.raises(InvalidSettings, match="UNDERSTUDY_MODEL__TEMPLATE: 'lama3' is none of auto, chatml"):
        resolve(str(own), cache=cache, template="lama3")


def test_a_template_like_none_of_ours_is_said_and_chatml_taken(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "odd.gguf"
    write_gguf(path, "llama")
    path.write_bytes(path.read_bytes().replace(b"<|im_start|>", b"<<im_start>>"))
    with caplog.at_level(logging.WARNING, "understudy"):
        assert resolve(str(path), cache=cache).template == "chatml"
    assert "UNDERSTUDY_MODEL__TEMPLATE" in caplog.text


def test_a_pulled_file_is_found_by_its_address(pulled: Path, cache: Path) -> None:
    file = resolve(ADDRESS, cache=cache)
    assert file.path == pulled
    assert file.template == "qwen3"


def test_an_altered_file_is_refused_with_both_hashes_and_the_way_out(pulled: Path, cache: Path) -> None:
    expected = recorded(cache)[ADDRESS]
    data = bytearray(pulled.read_bytes())
    data[-1] ^= 1
    pulled.write_bytes(data)
    with pytest.raises(ModelUnavailable) as caught:
        resolve(ADDRESS, cache=cache)
    found = hashlib.sha256(data).hexdigest()
    assert expected in str(caught.value)
    assert found in str(caught.value)
    assert f"understudy models pull {ADDRESS}" in str(caught.value)


def test_verify_finds_what_was_altered_without_a_trace(pulled: Path, cache: Path) -> None:
    resolve(ADDRESS, cache=cache)
    assert {one.name: one.state for one in verify(cache)} == {"smollm2-135m-instruct": "ok", ADDRESS: "ok"}
    alter(pulled)
    states = {one.name: one for one in verify(cache)}
    assert states[ADDRESS].state == "altered"
    assert states[ADDRESS].found != states[ADDRESS].expected
    with pytest.raises(ModelUnavailable, match="is altered"):
        resolve(ADDRESS, cache=cache)
    pulled.unlink()
    assert [one.state for one in verify(cache) if one.name == ADDRESS] == ["missing"]


def test_a_file_put_in_the_hub_s_folder_without_a_record_is_not_trusted(pulled: Path, cache: Path) -> None:
    (cache / "registry.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"hash was never recorded: .*or give the path"):
        resolve(ADDRESS, cache=cache)
    assert resolve(str(pulled), cache=cache).template == "qwen3"


def test_the_list_holds_every_profile_and_every_pulled_file(pulled: Path, cache: Path) -> None:
    entries = {entry.name: entry for entry in listing(cache)}
    assert list(entries) == [*PROFILES, ADDRESS]
    assert entries[ADDRESS].path == str(pulled)
    assert entries[ADDRESS].verified
    assert not entries["qwen3-4b"].path
    assert not entries["qwen3-4b"].verified
    assert entries["qwen3-4b"].licence == "Apache-2.0"
    assert entries["smollm2-135m-instruct"].verified


@pytest.mark.parametrize("name", ["qwen3-4b", ADDRESS])
def test_nothing_is_fetched_offline(name: str, cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match="UNDERSTUDY_NETWORK__OFFLINE=false"):
        pull(name, cache=cache, offline=True)
    with pytest.raises(ModelUnavailable, match=f"UNDERSTUDY_NETWORK__OFFLINE=false understudy models pull {name}"):
        resolve(name, cache=cache)


def test_pulling_the_packaged_one_only_verifies_it(cache: Path) -> None:
    assert pull("smollm2-135m-instruct", cache=cache, offline=True).name == "smollm2-135m-instruct"


def test_a_model_in_parts_is_refused_before_anything_is_fetched(cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match="one of several parts"):
        pull("owner/big-GGUF:big-00001-of-00003.gguf", cache=cache, offline=False)


@pytest.mark.parametrize(
    "name",
    [
        "no-such-profile", "missing.gguf", "owner/repo:../../etc/passwd.gguf", "../x:y.gguf", "owner/repo:/abs.gguf",
        "owner/repo:a/../b.gguf", "~nobody-here/model.gguf", "x" * 5000, "", "\x00", ".",
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_told_with_what_there_is(name: str, cache: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"there is no model .*smollm2-135m-instruct"):
        resolve(name, cache=cache)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "first bytes are not 'GGUF'"),
        (b"PK\x03\x04 a zip", "first bytes are not 'GGUF'"),
        (b"GGUF", "ends within its header"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1 is not supported"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648 is not supported"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "names no architecture"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "metadata entries"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_sentence(
    content: bytes, reason: str, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        resolve(str(path), cache=cache)
    assert str(path) in str(caught.value)


def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut(own: Path, cache: Path) -> None:
    whole = own.read_bytes()
    for size in (3, 100, 2000, len(whole) // 2, len(whole) - 1):
        own.write_bytes(whole[:size])
        with pytest.raises(ModelUnavailable, match=r"own\.gguf"):
            resolve(str(own), cache=cache)
    own.write_bytes(whole)
    assert resolve(str(own), cache=cache).template == "gemma"


def test_a_file_that_may_not_be_read_is_told(own: Path, cache: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    own.chmod(0)
    with pytest.raises(ModelUnavailable, match="Permission denied"):
        resolve(str(own), cache=cache)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_registry_is_told_and_not_overwritten(content: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "registry.json").write_text(content, "utf-8")
    with pytest.raises(ModelUnavailable, match=r"registry\.json is damaged"):
        resolve(ADDRESS, cache=cache)
    assert (cache / "registry.json").read_text("utf-8") == content
