"""From question to checked answer, over a real embedded index, with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from rag.calibration import Calibration, Fit
from rag.catalog import Catalog
from rag.documents import DocumentStore
from rag.errors import IncompatibleIndex, InvalidQuestion, UnknownDomain
from rag.pipeline import ABSTAINED, UNSURE, UNVERIFIED, Pipeline
from rag.searching import reranked
from rag.types import (
    CitationEvent,
    Condition,
    DoneEvent,
    Filter,
    Prompt,
    Question,
    RetrievalEvent,
    TokenEvent,
    Turn,
    VerdictEvent,
)
from tests.fakes.domains import LIMITS, ingest, open_edge, open_pipeline, pipeline_over
from tests.fakes.embedder import HashedWords
from tests.fakes.language_model import FakeLanguageModel

PUMP = (
    "# Pump P-214\n\nPump P-214 feeds the reactor. Its relief valve opens at 6.5 bar. "
    "The shift lead inspects it daily.\n"
)
GATE = "# Gate\n\nThe north gate opens at six in the morning. Visitors sign the book. The gate is made of steel.\n"


Build = Callable[..., Pipeline]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    source = tmp_path / "source"
    source.mkdir()
    (source / "pump.md").write_text(PUMP)
    (source / "gate.md").write_text(GATE)
    ingest(tmp_path / "data", source, HashedWords(dimensions=256))
    opened: list[Pipeline] = []

    def make(answer: Callable[[Prompt], str], **limits: object) -> Pipeline:
        pipeline = open_pipeline(tmp_path / "data", answer, **limits)
        opened.append(pipeline)
        return pipeline

    yield make
    for pipeline in opened:
        pipeline.close()


def test_events_come_in_the_decided_order_and_the_last_replaces_the_tokens(build: Build) -> None:
    pipeline = build(lambda _: "It opens at 6.5 bar. It was built by elves.")
    events = list(pipeline.stream(Question(text="At what pressure does the relief valve open?", domain="plant")))
    kinds = [type(event) for event in events]
    assert kinds[0] is RetrievalEvent
    assert kinds[-3:] == [CitationEvent, VerdictEvent, DoneEvent]
    assert set(kinds[1:-3]) == {TokenEvent}
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.answer.text == "It opens at 6.5 bar."
    assert done.answer.basis == "model"
    assert done.answer.trace.draft == "It opens at 6.5 bar. It was built by elves."


def test_a_citation_is_exactly_in_the_stored_text(build: Build) -> None:
    pipeline = build(lambda _: "6.5 bar")
    answer = pipeline.answer(Question(text="At what pressure does the relief valve open?", domain="plant"))
    (citation,) = answer.citations
    stored = pipeline.document("plant", citation.document_id)
    assert stored is not None
    assert stored.text[citation.char_start : citation.char_end] == citation.quote
    assert citation.text_sha256 == stored.text_sha256
    assert "6.5 bar" in citation.quote


def test_a_citation_of_a_text_that_went_meanwhile_is_dropped_and_counted(build: Build, tmp_path: Path) -> None:
    def remove_and_answer(_: Prompt) -> str:
        store = DocumentStore(Catalog(tmp_path / "data").live("plant").documents_path, writable=True)
        store.delete(["pump.md"])
        store.close()
        return "6.5 bar"

    answer = build(remove_and_answer).answer(
        Question(text="At what pressure does the relief valve open?", domain="plant")
    )
    assert (answer.abstained, answer.reason, answer.citations) == (True, UNVERIFIED, ())
    assert answer.trace.citations_dropped == 1


def test_where_the_model_finds_no_support_the_best_sentence_is_quoted(build: Build) -> None:
    answer = build(lambda _: "Seventeen purple elephants").answer(
        Question(text="At what pressure does the relief valve open?", domain="plant")
    )
    assert answer.basis == "quote"
    assert answer.text == "Its relief valve opens at 6.5 bar."
    assert [c.quote for c in answer.citations] == [answer.text]


def test_what_nothing_speaks_to_is_abstained_from_and_the_closest_passages_are_shown(build: Build) -> None:
    answer = build(lambda _: "Paris").answer(Question(text="Which capital hosted Olympic fencing?", domain="plant"))
    assert answer.abstained
    assert answer.text == ABSTAINED
    assert answer.reason == "nothing in this domain speaks to the question"
    assert answer.citations == ()
    assert answer.passages


def test_the_same_question_gives_the_same_answer(build: Build) -> None:
    pipeline = build(lambda prompt: prompt.messages[-1].content.splitlines()[1])
    question = Question(text="Who inspects pump P-214?", domain="plant")
    one, two = pipeline.answer(question), pipeline.answer(question)
    assert one.text == two.text
    assert one.trace.prompt_sha256 == two.trace.prompt_sha256
    assert {t.stage for t in one.trace.timings} >= {"embed", "search", "read", "context", "generate", "check"}


def test_a_follow_up_is_made_to_stand_alone_and_shown(build: Build) -> None:
    answer = build(lambda _: "daily").answer(
        Question(
            text="Who inspects it?",
            domain="plant",
            earlier=(Turn(question="At what pressure does the valve of pump P-214 open?", answer="6.5 bar"),),
        )
    )
    assert answer.trace.rewritten
    assert "p-214" in answer.trace.standalone_question
    assert answer.passages[0].document_id == "pump.md"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("   ", "empty"), ("why " * 25_000, "at most 4000"), ("why " * 600, "no room for passages")],
)
def test_a_question_that_cannot_be_asked_is_refused_before_the_first_event(
    build: Build, text: str, sentence: str
) -> None:
    with pytest.raises(InvalidQuestion, match=sentence):
        next(iter(build(lambda _: "x").stream(Question(text=text, domain="plant"))))


def test_unknown_domains_and_fields_are_told(build: Build) -> None:
    pipeline = build(lambda _: "x")
    with pytest.raises(UnknownDomain, match="understudy ingest apply"):
        pipeline.answer(Question(text="Who?", domain="nowhere"))
    with pytest.raises(InvalidQuestion, match="no filterable field"):
        pipeline.answer(
            Question(text="Who?", domain="plant", filter=Filter(conditions=(Condition(field="area", equals="x"),)))
        )


def test_sentences_far_below_the_best_are_not_read_unless_options_are_given(build: Build) -> None:
    question = Question(text="At what pressure does the relief valve open?", domain="plant")
    given = question.model_copy(update={"options": ("4.5 bar", "6.5 bar")})
    read = {}
    for spread in (2.0, 0.0):
        pipeline = build(lambda _: "x", sentence_spread=spread)
        read[spread] = [[passage.text for passage in pipeline.brief(asked).used] for asked in (question, given)]
        pipeline.close()
    (best,) = read[0.0][0]
    assert "6.5 bar" in best
    assert len(best) < sum(map(len, read[2.0][0]))
    assert read[0.0][1] == read[2.0][1]


def test_a_filter_on_documents_holds(build: Build) -> None:
    found = build(lambda _: "x").passages(
        Question(text="relief valve", domain="plant", filter=Filter(documents=("gate.md",)))
    )
    assert {passage.document_id for passage in found} == {"gate.md"}


def test_an_index_of_another_embedder_is_refused_and_health_tells(build: Build, tmp_path: Path) -> None:
    pipeline = Pipeline(
        catalog=Catalog(tmp_path / "data"),
        embedder=HashedWords(dimensions=64, name="another"),
        model=FakeLanguageModel(),
        open_index=open_edge,
        limits=LIMITS,
    )
    with pytest.raises(IncompatibleIndex, match="UNDERSTUDY_EMBEDDER__MODEL"):
        pipeline.answer(Question(text="Who?", domain="plant"))
    assert not pipeline.health().ready
    assert "another" in pipeline.health().checks["compatible"]
    (info,) = pipeline.domains()
    assert not info.compatible
    pipeline.close()


def test_a_question_in_another_language_gets_exact_words_or_an_abstention_that_names_it(build: Build) -> None:
    pipeline = build(lambda _: "irgendwas")
    answer = pipeline.answer(Question(text="Wie hoch ist der Druck und wer misst ihn?", domain="plant"))
    assert answer.language == "de"
    assert answer.abstained
    assert "German" in answer.reason


def test_of_given_options_the_one_that_the_documents_hold_is_chosen_and_cited(build: Build) -> None:
    pipeline = build(lambda _: "")
    options = ("4.5 bar", "6.5 bar", "seven")
    question = Question(text="At what pressure does the relief valve open?", domain="plant", options=options)
    events = list(pipeline.stream(question))
    assert not any(isinstance(event, TokenEvent) for event in events)
    answer = pipeline.answer(question)
    assert (answer.text, answer.basis, answer.abstained) == ("6.5 bar", "option", False)
    assert "opens at 6.5 bar" in answer.citations[0].quote
    assert answer.citations[0].claim == "6.5 bar"
    assert answer.citations[0].support == 1.0
    assert tuple(score.option for score in answer.options) == options
    assert max(answer.options, key=lambda score: score.score).option == "6.5 bar"


def test_a_yes_or_no_cites_every_sentence_that_it_rests_on_once(build: Build) -> None:
    asked = Question(text="Does the north gate open at six?", domain="plant", options=("yes", "no"))
    answer = build(lambda _: "").answer(asked)
    assert answer.text == "yes"
    quotes = [citation.quote for citation in answer.citations]
    assert quotes[0] == "The north gate opens at six in the morning."
    assert "The gate is made of steel." in quotes, "the last sentences of a short document have a say"
    assert len(quotes) == len(set(quotes)) == 3


def test_options_are_hidden_from_retrieval(build: Build) -> None:
    pipeline = build(lambda _: "")
    asked = "When does the north gate open?"
    free, chosen = (
        pipeline.answer(Question(text=asked, domain="plant", options=options))
        for options in ((), ("relief valve of pump P-214", "six in the morning"))
    )
    assert free.passages == chosen.passages
    assert chosen.text == "six in the morning"


def test_options_with_nothing_to_go_by_abstain(build: Build) -> None:
    answer = build(lambda _: "").answer(Question(text="Who discovered penicillin?", domain="plant", options=("A", "B")))
    assert answer.abstained
    assert answer.reason == "nothing in this domain speaks to the question"


@pytest.mark.parametrize("options", [("one",), ("yes", " "), ("Yes", "yes ")])
def test_options_that_leave_no_choice_are_refused(build: Build, options: tuple[str, ...]) -> None:
    with pytest.raises(InvalidQuestion, match="two or more different texts"):
        build(lambda _: "").answer(Question(text="Is it?", domain="plant", options=options))


# --- reranking ---


class Backwards:
    """A reranker that prefers what the search liked least, and reaches only so many."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(place) for place in range(len(texts))][: self.reach]


def test_a_reranker_orders_what_it_reached_before_the_rest(build: Build) -> None:
    found = build(lambda _: "x").passages(VALVE)
    assert len(found) == 2
    assert reranked("q", found, Backwards(2)) == found[::-1]
    assert reranked("q", [*found, found[0]], Backwards(2)) == [*found[::-1], found[0]]


# --- answers in the words of the passages ---

VALVE = Question(text="At what pressure does the relief valve open?", domain="plant")


def test_extractive_decoding_answers_with_exact_words_and_cites_their_sentence(build: Build) -> None:
    pipeline = build(lambda _: "6.5 bar", decoding="extractive")
    events = list(pipeline.stream(VALVE))
    assert [type(event) for event in events][1:] == [TokenEvent, CitationEvent, VerdictEvent, DoneEvent]
    answer = pipeline.answer(VALVE)
    sentence = "Its relief valve opens at 6.5 bar."
    assert (answer.text, answer.basis, answer.abstained) == (sentence, "span", False)
    (citation,) = answer.citations
    assert citation.quote == sentence
    stored = pipeline.document("plant", citation.document_id)
    assert stored is not None
    assert citation.focus is not None
    assert stored.text[slice(*citation.focus)] == answer.trace.draft == "6.5 bar"
    assert set(answer.trace.signals) == {"span", "refusal", "margin", "sentence", "cosine"}


def test_auto_extracts_only_with_a_model_that_learned_to(build: Build) -> None:
    assert build(lambda _: "It opens at 6.5 bar.", decoding="auto").answer(VALVE).basis == "model"


def calibrate(data: Path, threshold: float) -> None:
    fit = Fit(weights={"refusal": -1.0, "span": 1.0}, bias=0.0, threshold=threshold)
    fitted = Calibration(
        fits={"span": fit}, max_refused=0.1, n=50, suite="s", date="2026-11-25", weights="none", embedder="none"
    )  # fmt: skip
    Catalog(data).calibration_path("plant").write_text(fitted.model_dump_json())


def test_an_answer_below_the_domains_threshold_is_not_given_and_says_so(build: Build, tmp_path: Path) -> None:
    calibrate(tmp_path / "data", 0.5)
    words = {"now": "6.5 bar"}
    pipeline = build(lambda _: words["now"], decoding="extractive", min_confidence=-1.0)
    sure = pipeline.answer(VALVE)
    assert not sure.abstained
    assert sure.confidence is not None
    assert sure.confidence > 0.9
    assert "changed since" in sure.warning, "it was fitted on another model"
    words["now"] = "not in the passages"
    unsure = pipeline.answer(VALVE)
    assert (unsure.abstained, unsure.text, unsure.citations) == (True, ABSTAINED, ())
    assert unsure.confidence is not None
    assert unsure.confidence < 0.1
    assert unsure.reason == UNSURE
    pipeline.close()
    for_all = build(lambda _: "not in the passages", decoding="extractive", min_confidence=0.0)
    assert not for_all.answer(VALVE).abstained


def test_a_company_and_a_year_in_the_question_scope_the_search(tmp_path: Path) -> None:
    rows = [
        {"id": f"{company}-{year}-{page}", "company": company, "period": year,
         "text": f"Page {page}. Capital expenditure was {number}{page} million dollars in the year."}
        for number, (company, year) in enumerate(product(("Adobe", "Norrvik", "3M"), (2017, 2018)), start=1)
        for page in range(2)
    ]  # fmt: skip
    (tmp_path / "filings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(tmp_path / "data", tmp_path / "filings.jsonl", HashedWords(dimensions=256), "filings")
    asked = Question(text="What was the capital expenditure of Norrvik in FY2018?", domain="filings")
    for scope, documents in ((True, {"Norrvik-2018-0", "Norrvik-2018-1"}), (False, {row["id"] for row in rows})):
        pipeline = open_pipeline(tmp_path / "data", scope=scope, passages=20)
        assert {passage.document_id for passage in pipeline.passages(asked)} == documents
        pipeline.close()


def test_a_document_whose_number_the_question_says_is_found_first(tmp_path: Path) -> None:
    others = {f"note-{i}.md": f"# Note {i}\n\nThe valve closes the gas line of unit {i}." for i in range(9)}
    own = {"valve.md": "# Shut-off valve V-17\n\nIt is made of bronze."}
    with pipeline_over(tmp_path, others | own) as pipeline:
        asked = Question(text="What closes the gas line, V-17?", domain="plant")
        found = pipeline.passages(asked)
        assert found[0].document_id == "valve.md"
        assert len(found) == LIMITS.passages
        filtered = asked.model_copy(update={"filter": Filter(documents=("note-1.md",))})
        assert {passage.document_id for passage in pipeline.passages(filtered)} == {"note-1.md"}


def test_a_superseded_revision_answers_only_where_the_question_says_it(tmp_path: Path) -> None:
    texts = {f"r{i}.md": f"# Start-up (revision {i})\n\nHeat the crown at {i}0 degrees an hour." for i in (2, 3)}
    with pipeline_over(tmp_path, texts) as pipeline:
        for asked, meant in (("How fast is the crown heated?", {"r3.md"}), ("And in revision 2?", {"r2.md", "r3.md"})):
            found = pipeline.passages(Question(text=asked, domain="plant"))
            assert {passage.document_id for passage in found} == meant


def test_what_is_said_of_another_number_is_no_answer(build: Build) -> None:
    pipeline = build(lambda _: "6.5 bar", decoding="extractive")
    ours, other = (
        pipeline.answer(Question(text=f"At what pressure does the relief valve of pump {pump} open?", domain="plant"))
        for pump in ("P-214", "P-216")
    )
    assert ours.text == "Its relief valve opens at 6.5 bar."
    assert other.abstained
