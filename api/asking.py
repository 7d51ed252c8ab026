"""`ask`: questions from the command line, answers to a reader or a program. Knows no HTTP."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from api.service import Answering
from rag.build import build_pipeline
from rag.settings import Settings
from rag.types import Answer, DoneEvent, Event, Passage, Question, TokenEvent

ANSWERED = 0
ABSTAINED = 3

SHOWN_CHARS = 200
"""Characters of a closest passage that are shown: enough to see what it is about."""

CLOSEST = 3

TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Bidirectional classes of the characters that change the direction of what follows, and stay with it."""


def ask_all(
    settings: Settings,
    questions: Sequence[str],
    *,
    domain: str,
    passages: int | None,
    options: Sequence[str] = (),
    as_json: bool,
    build: Callable[[Settings], Answering] = build_pipeline,
) -> int:
    """Ask one after the other and print each answer as it comes. 0, or 3 if any abstained. Raises RagError."""
    abstained = False
    with closing(build(settings)) as pipeline:
        for number, text in enumerate(questions):
            question = Question(text=text, domain=domain, max_passages=passages, options=tuple(options))
            answer = _ask(pipeline, question, live=not as_json and sys.stdout.isatty())
            abstained |= answer.abstained
            if answer.warning:
                sys.stderr.write(f"understudy: {answer.warning}\n")
            if as_json:
                sys.stdout.write(json.dumps({"question": text} | answer.model_dump(mode="json")) + "\n")
            else:
                sys.stdout.write(("\n" if number else "") + render(text, answer))
            sys.stdout.flush()
    return ABSTAINED if abstained else ANSWERED


def render(question: str, answer: Answer) -> str:
    """The answer for a reader: text, citations or closest passages, time per stage."""
    lines = [f"Q: {_line(question)}", f"A: {_line(answer.text)}"]
    lines += _trusted(answer)
    lines += [f"   {score.score:5.2f}  {_line(score.option)}" for score in answer.options]
    if answer.abstained:
        lines[1] += f" ({_line(answer.reason)})" if answer.reason else ""
        lines += ["   Closest passages:"] if answer.passages else ["   No passage came close."]
        lines += [_closest(passage) for passage in answer.passages[:CLOSEST]]
    for number, citation in enumerate(answer.citations, start=1):
        page = f", page {citation.boxes[0].page}" if citation.boxes else ""
        where = f"{_line(citation.document_id)}{page}, characters {citation.char_start}-{citation.char_end}"
        lines += [f"   [{number}] {_line(citation.title)} ({where})", f'       "{_line(citation.quote)}"']
    stages = " · ".join(f"{timing.stage} {timing.milliseconds:.1f}" for timing in answer.trace.timings)
    total = sum(timing.milliseconds for timing in answer.trace.timings)
    lines.append(f"   {total:.0f} ms: {stages}")
    return "\n".join(lines) + "\n"


def _trusted(answer: Answer) -> list[str]:
    """The words that answer within the sentence, and how far to trust them."""
    said = [_line(answer.trace.draft)] if answer.basis == "span" else []
    said += [] if answer.confidence is None else [f"confidence {answer.confidence:.0%}"]
    return [f"   » {' · '.join(said)}"] if said else []


def _closest(passage: Passage) -> str:
    text = _line(passage.text)
    text = text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
    where = f"{_line(passage.document_id)}, characters {passage.start}-{passage.end}"
    return f'   - {_line(passage.title)} ({where})\n     "{text}"'


def _line(text: str) -> str:
    """On one line, without the characters by which a document could command a terminal or turn around what is read."""
    kept = (char for char in text if unicodedata.bidirectional(char) not in TURNING)
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in kept).split())


def _ask(pipeline: Answering, question: Question, *, live: bool) -> Answer:
    events = pipeline.stream(question)
    if live:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("…", style="dim"), transient=True) as screen:
            return _last(events, lambda draft: screen.update(Text(_line(draft), style="dim")))
    return _last(events, lambda _: None)


def _last(events: Iterable[Event], show: Callable[[str], None]) -> Answer:
    """The final answer; `show` is given the provisional text as it grows."""
    draft = ""
    for event in events:
        if isinstance(event, TokenEvent):
            draft += event.text
            show(draft)
        if isinstance(event, DoneEvent):
            return event.answer
    raise AssertionError("a stream ends with DoneEvent or raises")
