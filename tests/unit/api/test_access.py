"""The caller's view of the service: nothing reaches around it, and a foreign domain touches nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from api.access import CallerPipeline, CallerService, seen_by
from api.caller import LOCAL, NOBODY, Caller
from api.service import Answering, Service
from rag.errors import InvalidSettings, RagError, UnknownDomain
from rag.settings import Settings
from rag.types import Health, Question
from tests.fakes.tenants import Tenants, mark

PLANT = Caller("desk", frozenset({"read"}), frozenset({"plant", "planned"}))
OWN = {"start", "refuse", "stop", "card", "statistics", "spared"}
"""What the application does with the whole, and no caller; its metrics are for keys over all domains."""


def methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def asked(domain: str) -> Question:
    return Question(text="How often?", domain=domain)


async def with_service(scene: Callable[[Service], Any], build: Callable[[Settings], Answering]) -> Any:
    service = Service(Settings(), build)
    built: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    service.start(lambda _: built.set_result(None))
    await built
    try:
        return await scene(service)
    finally:
        await service.stop()


def test_every_method_of_the_service_is_decided_on_in_the_view() -> None:
    undecided = methods(Service) - OWN - set(vars(CallerService))
    undecided |= methods(Answering) - OWN - set(vars(CallerPipeline))
    assert undecided == set(), "decide in api/access.py what a caller sees of it"


def test_what_the_view_does_not_have_is_not_there() -> None:
    pipeline = CallerPipeline(Tenants("plant"), PLANT)
    for name in ("model", "names"):
        with pytest.raises(AttributeError):
            getattr(pipeline, name)
    with pytest.raises(PermissionError):
        pipeline.close()


@pytest.mark.parametrize("domain", ["office", "missing", "", "PLANT", "plant ", "../plant", "plant\x00", "q" * 5000])
def test_a_domain_that_the_caller_may_not_know_of_is_refused_before_anything_is_touched(domain: str) -> None:
    tenants = Tenants("plant", "office")

    async def scene(service: Service) -> None:
        view = CallerService(service, PLANT)
        with pytest.raises(UnknownDomain) as caught:
            view.ask(asked(domain))
        assert str(caught.value) == str(UnknownDomain.named(domain))
        with pytest.raises(UnknownDomain):
            await view.look_up(lambda pipeline: pipeline.domains(), domain=domain)
        with pytest.raises(UnknownDomain):
            await view.look_up(lambda pipeline: pipeline.passages(asked(domain)))
        with pytest.raises(UnknownDomain):
            await view.look_up(lambda pipeline: pipeline.stream(asked(domain)))

    asyncio.run(with_service(scene, lambda _: tenants))
    assert tenants.touched == []


def test_domains_are_those_of_the_caller_and_no_other_is_opened() -> None:
    tenants = Tenants("plant", "office")

    async def scene(service: Service) -> list[list[str]]:
        return [
            [info.name for info in await CallerService(service, caller).look_up(lambda pipeline: pipeline.domains())]
            for caller in (PLANT, NOBODY, LOCAL)
        ]

    assert asyncio.run(with_service(scene, lambda _: tenants)) == [["plant"], [], ["plant", "office"]]
    assert tenants.touched == ["plant", "plant", "office"]
    assert [info.name for info in CallerPipeline(tenants, PLANT).domains(among=["office", "plant"])] == ["plant"]


def test_why_it_could_not_start_is_told_to_whoever_may_know_of_every_domain() -> None:
    secret = "the adapter of 'office' is missing"

    def build(_: Settings) -> Answering:
        raise InvalidSettings(secret)

    async def scene(service: Service) -> list[str]:
        said = []
        for caller in (PLANT, LOCAL):
            view = CallerService(service, caller)
            with pytest.raises(RagError) as caught:
                view.ask(asked("plant"))
            said.append(f"{caught.value.code}: {caught.value}")
            with pytest.raises(RagError) as caught:
                await view.look_up(lambda pipeline: pipeline.domains())
            said.append(f"{caught.value.code}: {caught.value}")
            said.append(str((await view.health()).checks))
        return said

    said = asyncio.run(with_service(scene, build))
    assert not any(secret in text for text in said[:3])
    assert said[0] == said[1] == "start_failed: the models could not be loaded; the server's log says why"
    assert all(secret in text for text in said[3:])


def test_an_error_about_the_callers_own_domain_keeps_its_words() -> None:
    def fail(_: Answering) -> None:
        raise InvalidSettings("about plant")

    async def scene(service: Service) -> None:
        with pytest.raises(InvalidSettings, match="about plant"):
            await CallerService(service, PLANT).look_up(fail)

    asyncio.run(with_service(scene, lambda _: Tenants("plant")))


def test_whether_it_is_ready_is_everybodys_and_why_not_is_not() -> None:
    health = Health(ready=False, checks={"model": "ok", "index": f"office: {mark('office')}"})
    assert seen_by(LOCAL, health) == health
    for caller in (PLANT, NOBODY):
        seen = seen_by(caller, health)
        assert (seen.ready, seen.checks["model"]) == (False, "ok")
        assert "office" not in seen.checks["index"]
