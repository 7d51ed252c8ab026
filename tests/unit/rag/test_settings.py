"""Settings: what an operator writes is read, refused with the way out, or kept secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rag.errors import InvalidSettings
from rag.settings import Settings, load, variable, variables


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}) == Settings()


def test_a_variable_sets_its_field() -> None:
    settings = load({"UNDERSTUDY_DATA__DIRECTORY": "/srv/understudy", "UNDERSTUDY_SERVER__PORT": "9000"})
    assert settings.data.directory == Path("/srv/understudy")
    assert settings.server.port == 9000


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load({"PATH": "/bin", "UNDERSTUDYX": "1", "understudy_model__name": "x"}) == Settings()


def test_a_misspelt_variable_is_refused_with_the_nearest_known_name() -> None:
    with pytest.raises(InvalidSettings, match="unknown variable UNDERSTUDY_MODLE__NAME; did you mean") as caught:
        load({"UNDERSTUDY_MODLE__NAME": "x"})
    assert "UNDERSTUDY_MODEL__NAME?" in str(caught.value)


def test_a_variable_unlike_any_other_is_refused_with_the_way_to_the_list() -> None:
    name = "UNDERSTUDY_" + "Q" * 40
    with pytest.raises(InvalidSettings, match=f"{name}; `understudy config show` lists all"):
        load({name: "x"})


def test_every_unknown_variable_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load({"UNDERSTUDY_MODEL__NAMES": "x", "UNDERSTUDY_LOG__LEVLE": "info"})
    assert "UNDERSTUDY_MODEL__NAMES" in str(caught.value)
    assert "UNDERSTUDY_LOG__LEVLE" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNDERSTUDY_SERVER__PORT", "65536"),
        ("UNDERSTUDY_SERVER__PORT", "eighty"),
        ("UNDERSTUDY_RETRIEVAL__PASSAGES", "0"),
        ("UNDERSTUDY_LOG__LEVEL", "loud"),
        ("UNDERSTUDY_NETWORK__OFFLINE", "perhaps"),
        ("UNDERSTUDY_ANSWER__TEMPERATURE", "-0.1"),
    ],
)
def test_a_bad_value_is_refused_by_variable_and_value(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert repr(value) in str(caught.value)


def test_a_server_index_without_its_url_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"needs index\.url"):
        load({"UNDERSTUDY_INDEX__BACKEND": "server"})


def test_a_remote_model_without_its_url_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"needs model\.base_url"):
        load({"UNDERSTUDY_MODEL__PROVIDER": "openai"})


@pytest.mark.parametrize("name", ["UNDERSTUDY_MODEL__API_KEY", "UNDERSTUDY_INDEX__API_KEY"])
def test_a_secret_appears_in_no_rendering(name: str) -> None:
    settings = load({name: "swordfish"})
    assert "swordfish" not in repr(settings) + str(settings) + settings.model_dump_json()
    section, field = variables()[name]
    assert getattr(getattr(settings, section), field).get_secret_value() == "swordfish"


def test_a_secret_appears_in_no_message() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load({"UNDERSTUDY_INDEX__BACKEND": "server", "UNDERSTUDY_INDEX__API_KEY": "swordfish"})
    assert "swordfish" not in str(caught.value)


def test_settings_do_not_change_once_loaded() -> None:
    settings = load({})
    with pytest.raises(ValidationError, match="frozen"):
        settings.data.retention_days = 1  # type: ignore[misc]  # the assignment that must fail


def test_every_field_has_a_variable_and_a_description() -> None:
    known = variables()
    assert known["UNDERSTUDY_MODEL__NAME"] == ("model", "name")
    for name, (section, field) in known.items():
        assert name == variable(section, field)
        described = type(getattr(Settings(), section)).model_fields[field].description
        assert described, f"{name} has no description"
