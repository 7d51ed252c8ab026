"""The container files, as far as they can be held without an engine: pinned, known to the settings, least privilege."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag.settings import load, variables

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?")
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:?[-?])?(?P<rest>[^}]*)\}")
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
SERVICES = ("api", "qdrant")


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return parsed


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(position for position, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def image_environment() -> dict[str, str]:
    pairs = [pair for name, arguments in final_stage() if name == "ENV" for pair in shlex.split(arguments)]
    return dict(pair.split("=", 1) for pair in pairs)


def resolved(value: str) -> str:
    """A compose value with a stand-in for each variable that has no default."""
    return REFERENCE.sub(lambda match: match["rest"] if match["operator"] in ("-", ":-") else "given", value)


def api_environment() -> dict[str, str]:
    return image_environment() | {name: resolved(str(value)) for name, value in service("api")["environment"].items()}


def test_the_services_are_the_api_and_the_vector_store() -> None:
    assert tuple(compose()["services"]) == SERVICES


def test_every_image_is_pinned_to_a_version() -> None:
    images = [arguments.split()[0] for name, arguments in instructions() if name == "FROM"]
    images += [service(name)["image"] for name in SERVICES]
    assert len(images) == 4
    for image in images:
        assert PINNED.fullmatch(image), f"{image} is not pinned to a full version"


def test_every_variable_is_a_known_setting() -> None:
    names = [name for name in api_environment() if name.startswith("UNDERSTUDY_")]
    assert len(names) > 5
    assert set(names) <= set(variables())


def test_the_settings_load_with_the_environment_of_the_service() -> None:
    settings = load(api_environment())
    assert settings.index.backend == "server"
    assert settings.index.url == "http://qdrant:6333"
    assert settings.index.api_key.get_secret_value() == "given"
    assert settings.network.offline is True
    assert settings.server.host == "0.0.0.0"


def test_the_settings_load_with_the_environment_of_the_image_alone() -> None:
    settings = load(image_environment())
    assert settings.data.directory == Path("/data")
    assert settings.index.backend == "edge"


@pytest.mark.parametrize("path", ["Dockerfile", "compose.yaml"])
def test_a_key_is_made_before_the_first_start_since_other_machines_reach_a_container(path: str) -> None:
    head = (ROOT / path).read_text("utf-8").split("\n\n")[0]
    create, start = head.find("keys create NAME --all-domains"), max(head.rfind("up --wait"), head.rfind("8080:8080"))
    assert 0 < create < start


def test_the_image_and_every_service_run_as_a_numbered_user_that_is_not_root() -> None:
    users = [arguments for name, arguments in final_stage() if name == "USER"]
    users += [service(name)["user"] for name in SERVICES]
    assert len(users) == 3
    for user in users:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), f"{user} is not a numbered user and group other than root"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_holds_no_more_than_it_needs(name: str) -> None:
    found = service(name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert "cap_add" not in found
    assert "privileged" not in found
    assert found["security_opt"] == ["no-new-privileges:true"]
    (scratch,) = found["tmpfs"]
    assert re.fullmatch(r"/\w+:size=\d+m,mode=1777", scratch)
    limits = found["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_writes_to_named_volumes_alone(name: str) -> None:
    mounts = [mount.split(":")[0] for mount in service(name)["volumes"]]
    assert mounts
    assert set(mounts) <= set(compose()["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_tells_its_health(name: str) -> None:
    check = service(name)["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_health_is_asked_at_the_port_that_is_served() -> None:
    port = api_environment()["UNDERSTUDY_SERVER__PORT"]
    (of_image,) = [arguments for name, arguments in final_stage() if name == "HEALTHCHECK"]
    for check in (of_image, " ".join(service("api")["healthcheck"]["test"])):
        assert f"http://127.0.0.1:{port}/health/ready" in check
    assert ("EXPOSE", port) in final_stage()
    assert "GET /readyz" in " ".join(service("qdrant")["healthcheck"]["test"])


def test_the_check_in_python_compiles() -> None:
    compile(service("api")["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_the_api_waits_for_a_healthy_store() -> None:
    assert service("api")["depends_on"] == {"qdrant": {"condition": "service_healthy"}}


def test_only_the_api_is_published_and_on_loopback_only() -> None:
    assert service("api")["ports"] == ["127.0.0.1:8080:8080"]
    assert "ports" not in service("qdrant")
    assert service("qdrant")["networks"] == ["inside"]
    assert compose()["networks"]["inside"] == {"internal": True}


def test_no_secret_has_a_default() -> None:
    found = 0
    for name in SERVICES:
        for variable, value in service(name)["environment"].items():
            if SECRET_NAME.search(variable):
                match = REFERENCE.fullmatch(value)
                assert match, f"{variable} is written into compose.yaml"
                assert match["operator"] == ":?", f"{variable} starts without a value"
                found += 1
    assert found == 2
    for name, arguments in instructions():
        if name in ("ENV", "ARG"):
            assert not SECRET_NAME.search(arguments), f"{name} {arguments} stays in the image"


def test_the_vector_store_sends_no_telemetry() -> None:
    assert service("qdrant")["environment"]["QDRANT__TELEMETRY_DISABLED"] == "true"


def test_the_image_is_built_for_machines_that_the_builder_has_not_seen() -> None:
    (flags,) = [shlex.split(arguments)[0] for name, arguments in instructions() if arguments.startswith("CMAKE_ARGS=")]
    assert "-DGGML_NATIVE=OFF" in flags
    assert "-DGGML_AVX512=OFF" in flags


def test_no_compiler_reaches_the_final_image() -> None:
    assert not any("build-essential" in arguments for _, arguments in final_stage())


def test_everything_that_is_copied_exists_and_is_let_through() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = [
        arguments.split()[:-1] for name, arguments in instructions() if name == "COPY" and "--from" not in arguments
    ]
    for source in [source for sources in copied for source in sources]:
        assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which is not there"
        assert f"!{source}" in rules, f".dockerignore keeps {source} from the builder"
