"""What is left of a run is estimated from characters embedded and bytes read, by figures computed by hand."""

from ingest.progress import Meter, Progress, Size


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def meter(sizes: dict[str, Size], *, embeds: bool = True) -> tuple[Meter, list[Progress], Clock]:
    told: list[Progress] = []
    clock = Clock()
    return Meter(sizes, told.append, embeds=embeds, clock=clock), told, clock


def test_what_waits_and_what_is_not_read_yet_takes_as_long_a_character_as_what_is_embedded() -> None:
    count, told, clock = meter({"a": Size(1000), "b": Size(3000)})
    count.read("a", 800)
    clock.now = 105
    count.embedding()
    clock.now = 109
    count.embedded(4, 0, 200)
    # 200 characters in 4 s; 600 wait, and b's 3,000 bytes will give 2,400
    assert told[-1] == Progress(documents=0, total=2, chunks=4, seconds=9, pace=1, left=60)
    count.embedded(6, 1, 600)
    count.read("b", 0)  # unchanged
    count.tell()
    assert told[-1] == Progress(documents=2, total=2, chunks=10, seconds=9, pace=2.5, left=0)


def test_nothing_is_said_of_the_time_before_anything_is_embedded() -> None:
    count, told, clock = meter({"a": Size(1000), "b": Size(1000)})
    count.read("a", 500)
    clock.now = 130
    count.tell()
    assert (told[-1].left, told[-1].seconds) == (None, 30)


def test_a_row_is_its_share_of_its_file_and_a_name_with_a_hash_is_itself() -> None:
    count, told, clock = meter({"t.csv": Size(1000, 10), "c#.md": Size(1000)}, embeds=False)
    for number in range(5):
        count.read(f"t.csv#{number}")
    clock.now = 110
    count.tell()
    assert told[-1] == Progress(documents=5, total=11, chunks=0, seconds=10, pace=None, left=30)
    count.read("c#.md")
    count.tell()
    assert told[-1].left == 10 * 500 / 1500


def test_more_documents_than_were_estimated_are_a_larger_total_and_the_end_is_the_end() -> None:
    count, told, _ = meter({"t.csv": Size(100, 2)})
    count.embedding()
    for number in range(3):
        count.read(f"t.csv#{number}", 10)
    count.embedded(2, 2, 20)
    assert (told[-1].documents, told[-1].total) == (2, 3)
    count.embedded(1, 1, 10)
    count.finish()
    assert (told[-1].documents, told[-1].total, told[-1].left) == (3, 3, 0)


def test_the_pace_is_that_of_the_last_minute_or_of_what_took_longer() -> None:
    count, told, clock = meter({"a": Size(1000)})
    count.read("a", 10_000)
    count.embedding()
    for _ in range(10):  # a chunk and 100 characters in ten seconds
        clock.now += 10
        count.embedded(1, 0, 100)
    assert (told[-1].pace, told[-1].left) == (0.1, 900)
    for _ in range(7):  # ten times as fast: after a minute of it nothing reminds of what was before
        clock.now += 10
        count.embedded(10, 0, 1000)
    assert (told[-1].pace, told[-1].left) == (1.0, 20)
    clock.now += 200
    count.embedded(20, 0, 1000)
    assert (told[-1].pace, told[-1].left) == (0.1, 200)
