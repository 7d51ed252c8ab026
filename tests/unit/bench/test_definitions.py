"""The questions about manuals are made of what their pages say."""

from __future__ import annotations

from pathlib import Path

from bench.definitions import Definition, definitions

PAGE = """OPTIONS
     -q, --quiet
             Says less. By default all is said.
     --port=NUMBER
             Where to listen. The default is 22.
     RetrySec=
             Defaults to
             "5s". Once only.
     MaxRounds
             The default is 3, but the default is 4 at night.
     Once
             Defaults to no.
"""


def test_a_keyword_is_asked_for_where_its_description_states_one_default(tmp_path: Path) -> None:
    (tmp_path / "a.1.txt").write_text(PAGE, "utf-8")
    found = [each for each in definitions(tmp_path / "a.1.txt") if each.default]
    assert [(each.name, each.default) for each in found] == [("--port", "22"), ("RetrySec", "5s")]
    assert found[0] == Definition("a.1.txt", "--port", "22", PAGE.index("     --port"), PAGE.index("     RetrySec"))
    others = [each.name for each in definitions(tmp_path / "a.1.txt") if not each.default]
    assert others == ["--quiet", "MaxRounds"]
