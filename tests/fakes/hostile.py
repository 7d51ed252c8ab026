"""A pipeline whose document tries to be markup, in characters that one JavaScript unit cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rag.page_boxes import Box
from rag.types import Citation, CitationEvent, Document, DoneEvent, Event, Question, RetrievalEvent, VerdictEvent
from tests.fakes.pipeline import FakePipeline, answer, document, passage

HOSTILE = "𝔘 🏭 <script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
WORDS = "Valve 7 is 🔧 closed by <b>two</b> people."
TEXT = f"{HOSTILE}\n\n{'More. ' * 800}\n\n{WORDS} It is locked. {'And on. ' * 400}\n\nAt last 𝔘 it is signed."
LAST = "At last 𝔘 it is signed."


class HostilePipeline(FakePipeline):
    """Beside the fake's own words, "valve" cites a document full of markup and of characters beyond 16 bits."""

    def __init__(self) -> None:
        super().__init__(pace=0.05)
        self.asked: list[Question] = []
        self.stored["a b/50%#1.md"] = self.document_7 = document("a b/50%#1.md", HOSTILE, TEXT)

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        self.asked.append(question)
        if "valve" not in question.text:
            yield from super().stream(question, cancelled=cancelled)
            return
        start = TEXT.index("closed")
        first = cited(self.document_7, WORDS, focus=(start, start + len("closed")))
        on_pages = tuple(Box(page=page, left=72, top=700, right=300, bottom=712) for page in (3, 4))
        second = cited(self.document_7, LAST, focus=None).model_copy(update={"boxes": on_pages})
        yield RetrievalEvent(standalone_question=question.text, passages=(passage(),))
        yield CitationEvent(citation=first)
        yield CitationEvent(citation=second)
        yield VerdictEvent(abstained=False, reason="")
        said = answer(question.text, (first, second), "")
        yield DoneEvent(
            answer=said.model_copy(
                update={"text": f"{WORDS} {LAST}", "confidence": 0.83, "basis": "span", "warning": "other weights"}
            )
        )


def cited(found: Document, words: str, *, focus: tuple[int, int] | None) -> Citation:
    start = found.text.index(words)
    return Citation(
        document_id=found.id, title=found.title, char_start=start, char_end=start + len(words), quote=words,
        text_sha256=found.text_sha256, claim=words, support=1.0, focus=focus,
    )  # fmt: skip
