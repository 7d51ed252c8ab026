"""What an operator may change, in sections; frozen; each field described. Knows no class that uses it.

Read from `UNDERSTUDY_<SECTION>__<FIELD>` environment variables, by `rag.build` and the doors' entry modules
only. An unknown `UNDERSTUDY_*` name is an error, so that a misspelt one is not silently ignored.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from rag.errors import InvalidSettings
from rag.types import Decoding

PREFIX = "UNDERSTUDY_"


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Section):
    """Where things are kept."""

    directory: Path = Field(Path("data"), description="domains, model cache and registry live here")
    retention_days: int = Field(
        30,
        ge=0,
        description="generations superseded for longer are removed, but never the previous one; 0: no limit",
    )
    generations: int = Field(3, ge=1, description="superseded generations of a domain that are kept, for rollback")


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is written")
    texts: bool = Field(False, description="also write questions and answers, and errors that may repeat them")


class TracingSettings(Section):
    """Where spans are sent; nowhere by default."""

    endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="OTLP over HTTP, for example http://127.0.0.1:4318/v1/traces; needs the extra `tracing`",
    )


class NetworkSettings(Section):
    """Whether anything outside this machine may be dialled."""

    offline: bool = Field(True, description="refuse every model download; `models pull` needs it off")


class EmbedderSettings(Section):
    """The model that turns text into vectors."""

    model: str = Field(
        "all-MiniLM-L6-v2",
        description="the packaged default, a folder, or a hub repository of a sentence-transformers model",
    )
    backend: Literal["auto", "openvino", "torch"] = Field("auto", description="auto: openvino where it is installed")
    batch_tokens: int = Field(512, ge=256, description="padded tokens of one batch: what the cores' caches hold")
    threads: int = Field(0, ge=0, description="0: one for each core")
    remembered_texts: int = Field(
        20_000, ge=0, description="sentences of passages whose vectors are kept in memory, 1.6 KB each for the default"
    )


def _object(value: Any) -> Any:
    """A JSON object from a variable's text; anything else as it is, for the validation to refuse."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class ModelSettings(Section):
    """The language model that writes answers."""

    provider: Literal["llama", "openai"] = Field("llama", description="a local GGUF, or an OpenAI-compatible endpoint")
    name: str = Field(
        "smollm2-135m-instruct",
        description="a profile, the path of a GGUF file, or 'repository/name:file.gguf' of the hub; "
        "for provider openai the model's id",
    )
    template: str = Field("auto", description="chat template profile; auto: read from the GGUF")
    weights_format: Literal["auto", "as-shipped", "F16", "BF16", "Q8_0", "Q4_0"] = Field(
        "auto", description="auto: the fastest on this machine among the formats that lose nothing measurable"
    )
    own_words_format: Literal["F16", "same"] = Field(
        "F16",
        description="what own words are written with beside faster weights that read, so that they are the same alone "
        "and beside others (not with as-shipped, nor for a file above 1 GiB); same: the weights that read, less memory",
    )
    context_tokens: int = Field(2048, ge=256, description="longest prompt and answer together")
    threads: int = Field(0, ge=0, description="0: one for each core")
    gpu_layers: int = Field(-1, ge=-1, description="layers put on a GPU where the build has one; -1: all")
    max_waiting: int = Field(32, ge=1, description="requests that may wait for the engine")
    parallel: int = Field(0, ge=0, le=32, description="requests that the engine works on together; 0: two a thread")
    memory_tokens: int = Field(
        0, ge=0, description="tokens that the engine's memory holds for all of them; 0: two contexts"
    )
    adapter: str = Field(
        "auto", description="LoRA adapter (GGUF): auto for the one shipped for this model, none, or a path"
    )
    adapters: Annotated[dict[str, str], BeforeValidator(_object)] = Field(
        {}, description='adapters of single domains, as JSON: {"handbook": "handbook.gguf", "plant": "none"}'
    )
    base_url: str = Field("", description="provider openai: the endpoint, for example http://127.0.0.1:8080/v1")
    api_key: SecretStr = Field(SecretStr(""), description="provider openai: sent as a bearer token")
    timeout_seconds: float = Field(120.0, gt=0, description="longest wait for one answer")
    retries: int = Field(3, ge=0, description="provider openai: further tries after a passing failure")


class IndexSettings(Section):
    """Where the vectors are kept."""

    backend: Literal["edge", "server"] = Field("edge", description="in this process, or a Qdrant server or cluster")
    url: str = Field("", description="backend server: for example http://127.0.0.1:6333")
    api_key: SecretStr = Field(SecretStr(""), description="backend server: its API key")
    grpc: bool = Field(False, description="backend server: gRPC in place of REST")
    alias: str = Field(
        "understudy",
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="backend server: a domain's alias is this, _ and its name; another for a second installation on it",
    )
    shard_number: int = Field(1, ge=1, description="backend server: shards of a new collection")
    replication_factor: int = Field(1, ge=1, description="backend server: copies of each shard")
    timeout_seconds: float = Field(30.0, gt=0, description="backend server: longest wait for one call")


class RetrievalSettings(Section):
    """How passages are found."""

    passages: int = Field(8, ge=1, le=50, description="passages retrieved for a question")
    mode: Literal["hybrid", "rrf", "dense", "bm25"] = Field("hybrid", description="which parts are asked, how fused")
    reranker: str = Field("", description="cross-encoder that reorders what was found: a folder or a hub repository")
    rerank_candidates: int = Field(24, ge=2, le=100, description="passages that are found for the reranker")
    rerank_milliseconds: float = Field(
        400.0, gt=0, description="time for reranking; what is not reached keeps its place"
    )
    scope: bool = Field(True, description="search only documents whose metadata carries a name that the question says")


class AnswerSettings(Section):
    """How an answer is written and checked."""

    context_tokens: int = Field(400, ge=64, description="tokens of retrieved text in the prompt")
    sentences: int = Field(6, ge=1, le=64, description="best sentences of the passages that the model reads")
    sentence_spread: float = Field(
        0.2, ge=0, le=2, description="a sentence whose score is further below the best is not read, options aside"
    )
    min_relevance: float = Field(0.55, ge=0, le=1.2, description="least score of the best sentence; below it abstains")
    min_confidence: float = Field(
        -1.0, ge=-1, le=1, description="least confidence of an answer that is given; -1: what the calibration says"
    )
    max_tokens: int = Field(48, ge=1, le=4096, description="longest answer")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is deterministic")
    seed: int = Field(0, ge=0, description="for temperatures above 0")
    decoding: Decoding = Field(
        "auto",
        description="extractive: in exact words of the passages; free: in the model's own, checked; auto: extractive "
        "for questions of fact where an adapter taught the model to copy",
    )
    min_support: float = Field(0.6, gt=0, le=1, description="least support of a claim that gets a citation")
    min_coverage: float = Field(0.5, ge=0, le=1, description="least share of the question that a cited passage covers")
    likelihood_weight: float = Field(
        0.02, ge=0, le=10, description="what the model's likelihood counts among given options, beside the passages"
    )
    max_question_chars: int = Field(4000, ge=16, description="a longer question is refused")


class ServerSettings(Section):
    """The HTTP door."""

    host: str = Field("127.0.0.1", description="address to listen on; one that is not loopback needs a key first")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: any free one")
    max_waiting: int = Field(32, ge=1, description="answers that may wait; beyond it 503 with Retry-After")
    max_waiting_each: int = Field(
        16, ge=1, description="answers of any one key that may wait, fewer where more keys ask; beyond it 429"
    )
    workers: int = Field(0, ge=0, le=256, description="answers that are in work at the same time; 0: one a core")
    timeout_seconds: float = Field(120.0, gt=0, description="longest time to an answer, waiting included")
    kept_answers: int = Field(0, ge=0, description="latest answers that are given again to the same question; 0: none")
    report: str = Field(
        "",
        description="what /report shows: a report.html, or a folder of runs, the newest of which is taken; empty: none",
    )
    max_body_bytes: int = Field(262_144, ge=1024, description="a larger request body gets 413")
    max_connections: int = Field(512, ge=1, description="open at once; beyond it 503, beyond twice that cut off")
    head_seconds: float = Field(10.0, gt=0, description="longest wait for a request's head; then 408")
    body_seconds: float = Field(20.0, gt=0, description="and for its body, a second more for each KiB that came")
    unread_seconds: float = Field(30.0, gt=0, description="a caller who stops reading the answer is cut off after it")
    max_feedback: int = Field(10_000, ge=1, description="feedback kept for a domain; beyond it the oldest goes")
    drain_seconds: float = Field(30.0, ge=0, description="time to finish answers in, once the server is told to stop")


class LimitSettings(Section):
    """How often a key may ask."""

    requests_per_minute: int = Field(600, ge=0, description="of each key that has no limit of its own; 0: no limit")
    redis_url: SecretStr = Field(
        SecretStr(""), description="counts for several processes, for example redis://127.0.0.1:6379; empty: in memory"
    )


class UploadsSettings(Section):
    """Documents that come over HTTP."""

    max_file_bytes: int = Field(50_000_000, ge=1, description="a larger file gets 413")
    max_bytes: int = Field(200_000_000, ge=1, description="files of one upload together; beyond it 413")
    max_files: int = Field(500, ge=1, description="files of one upload; beyond it 413")
    max_waiting: int = Field(
        16,
        ge=1,
        description="jobs that may wait, the last quarter only of domains with none; beyond it 503 with Retry-After",
    )
    max_receiving: int = Field(4, ge=1, description="uploads that are received at once; beyond it 503")
    idle_seconds: float = Field(30.0, gt=0, description="an upload whose bytes stop for so long gets 408")
    job_seconds: float = Field(3600.0, gt=0, description="a job that takes longer fails, and changes nothing")
    file_seconds: float = Field(60.0, gt=0, description="a file that takes longer to read is unreadable")
    file_megabytes: int = Field(2048, ge=256, description="a file that needs more memory to read is unreadable")
    keep_jobs: int = Field(200, ge=1, description="finished jobs whose result can still be asked for")


class Settings(Section):
    """All settings in force."""

    data: DataSettings = DataSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    network: NetworkSettings = NetworkSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    model: ModelSettings = ModelSettings()
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answer: AnswerSettings = AnswerSettings()
    server: ServerSettings = ServerSettings()
    uploads: UploadsSettings = UploadsSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.index.backend == "server" and not self.index.url:
            raise ValueError("index.backend 'server' needs index.url, for example http://127.0.0.1:6333")
        if self.model.provider == "openai" and not self.model.base_url:
            raise ValueError("model.provider 'openai' needs model.base_url, for example http://127.0.0.1:8080/v1")
        return self


def variable(section: str, field: str) -> str:
    """The environment variable of a setting: `UNDERSTUDY_MODEL__NAME`."""
    return f"{PREFIX}{section.upper()}__{field.upper()}"


def variables() -> dict[str, tuple[str, str]]:
    """Every known variable and the (section, field) that it sets."""
    return {
        variable(section, field): (section, field)
        for section, info in Settings.model_fields.items()
        for field in section_class(info.annotation).model_fields
    }


def section_class(annotation: Any) -> type[Section]:
    """The section class behind a field of `Settings`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    raise TypeError(f"{annotation!r} is no settings section")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment (default: this process's).

    Raises InvalidSettings naming each unknown variable with the nearest known one, and each bad value.
    """
    env = os.environ if environment is None else environment
    known = variables()
    given: dict[str, dict[str, str]] = {}
    complaints: list[str] = []
    for name, value in sorted(env.items()):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `understudy config show` lists all"
            complaints.append(f"unknown variable {name}{hint}")
            continue
        section, field = known[name]
        given.setdefault(section, {})[field] = value
    if complaints:
        raise InvalidSettings("; ".join(complaints))
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise InvalidSettings("; ".join(_sentence(item) for item in error.errors(include_url=False))) from None


def _sentence(item: Any) -> str:
    location = tuple(str(part) for part in item["loc"])
    where = variable(location[0], location[1]) if len(location) >= 2 else "settings"
    secret = location[-1:] in (("api_key",), ("redis_url",))
    got = "" if secret or len(location) < 2 else f" (got {item['input']!r})"
    return f"{where}: {item['msg']}{got}"
