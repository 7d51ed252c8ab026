"""The crash table's own trials, a few of them: nothing is lost, doubled or half visible, and what is would be seen."""

import random
from contextlib import closing
from pathlib import Path

from bench.crashes import Trials, measure, table


def test_after_kills_at_random_moments_the_next_run_makes_everything_whole(tmp_path: Path) -> None:
    rows, skipped = measure(tmp_path, kills=3, full=0, seed=7)
    assert [(row.operation, row.trials) for row in rows] == [("apply", 1), ("rebuild", 1), ("delete", 1)]
    assert [row.notes for row in rows] == [[], [], []]
    assert all(row.clean() and row.questions and not row.refused for row in rows)
    assert "| kill -9 | rebuild | 1 |" in table(rows, skipped)


def test_a_command_that_is_killed_while_it_writes_to_a_server_is_finished_by_the_next(tmp_path: Path) -> None:
    rows, skipped = measure(tmp_path, kills=0, full=0, on_server=1, seed=7)
    apply = rows[0]
    assert (apply.trials, apply.notes, apply.refused, apply.clean(), apply.questions > 0) == (1, [], 0, True, True)
    assert "| kill -9, on a server | apply | 1 |" in table(rows, skipped)


def test_a_document_that_is_not_there_is_counted_as_lost_and_one_too_many_as_doubled(tmp_path: Path) -> None:
    with closing(Trials(tmp_path, "kill -9", random.Random(1))) as trials:
        stored = sorted(trials._state)
        del trials._state[stored[0]]
        trials._state["valve-0"] = "It was never written."
        trials.kill("rebuild")
        row = trials.rows["rebuild"]
    assert (row.lost > 0, row.doubled > 0, row.half, row.clean()) == (True, True, 1, False)
