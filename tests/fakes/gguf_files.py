"""Tiny GGUF files with random weights, one for each architecture that a profile names: they load, and they babble.

Two layers, 64 dimensions, a working tokenizer with the architecture's real chat markers: a few hundred kilobytes.
What they prove is loading, tokenizing and decoding; their words mean nothing. Knows no class of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFWriter, TokenType

LAYERS, WIDTH, HIDDEN, HEADS, KV_HEADS = 2, 64, 128, 4, 2
HEAD_WIDTH = WIDTH // HEADS
CONTEXT = 512
KV_WIDTH = KV_HEADS * HEAD_WIDTH

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FIRST = "{%% if messages[0]['role'] != 'system' %%}{{ '<|im_start|>system\n%s<|im_end|>\n' }}{%% endif %%}"
SMOLLM2 = FIRST % "You are a helpful AI assistant named SmolLM, trained by Hugging Face" + CHATML
QWEN2 = FIRST % "You are a helpful assistant." + CHATML
QWEN3 = CHATML + "{% if enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{% endif %}"
PHI3 = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + "
    "'<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI4 = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] "
    "+ ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + "
    "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)


@dataclass(frozen=True)
class Recipe:
    """What sets one kind of file apart from the others."""

    architecture: str
    """`general.architecture`, llama.cpp's name"""
    template: str
    """the product's name of its chat template"""
    jinja: str
    markers: tuple[str, ...]
    """strings that are one special token each"""
    end: str
    """the end-of-turn marker: an end-of-generation token"""
    byte_pairs: str = ""
    """the pre-tokenizer's name for a byte-pair vocabulary, else a sentencepiece one"""
    adds_bos: bool = True
    adds_space: bool = False
    """whether the vocabulary puts a space in front of a text"""


PHI_MARKERS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
CHATML_MARKERS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
THINK_MARKERS = (*CHATML_MARKERS, "<think>", "</think>")

RECIPES = {
    "llama": Recipe("llama", "smollm2", SMOLLM2, CHATML_MARKERS, "<|im_end|>", "smollm", False),
    "mistral": Recipe("llama", "mistral", MISTRAL, (), "</s>", adds_space=True),
    "phi3": Recipe("phi3", "phi3", PHI3, PHI_MARKERS, "<|end|>", adds_space=True),
    "phi4": Recipe("phi3", "phi4-mini", PHI4, PHI_MARKERS, "<|end|>", "gpt-4o", False),
    "qwen2": Recipe("qwen2", "qwen2", QWEN2, CHATML_MARKERS, "<|im_end|>", "qwen2", False),
    "qwen3": Recipe("qwen3", "qwen3", QWEN3, THINK_MARKERS, "<|im_end|>", "qwen2", False),
    "gemma2": Recipe("gemma2", "gemma", GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
    "gemma3": Recipe("gemma3", "gemma", GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
}


def write_gguf(path: Path, kind: str, *, seed: int = 0, context: int = CONTEXT) -> Recipe:
    """Write a file of that kind (a name of RECIPES); equal arguments give equal bytes."""
    recipe = RECIPES[kind]
    writer = GGUFWriter(path, recipe.architecture)
    writer.add_name(f"Tiny {kind}")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    if recipe.architecture in ("qwen3", "gemma2", "gemma3"):
        writer.add_key_length(HEAD_WIDTH)
        writer.add_value_length(HEAD_WIDTH)
    if recipe.architecture in ("phi3", "gemma2", "gemma3"):
        writer.add_sliding_window(CONTEXT // 2)
    if recipe.architecture == "gemma2":
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
    size = _add_vocabulary(writer, recipe)
    writer.add_chat_template(recipe.jinja)
    _add_tensors(writer, recipe.architecture, size, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return recipe


def _add_vocabulary(writer: GGUFWriter, recipe: Recipe) -> int:
    """Every byte, a few words, the markers. Returns the number of tokens."""
    if recipe.byte_pairs:
        symbols = list(_byte_symbols().values())
        merges = ["t h", "th e", "a n", "i n", "Ġ the"]
        words = [merge.replace(" ", "") for merge in merges]
        tokens = [*recipe.markers, *symbols, *words]
        types = [TokenType.CONTROL] * len(recipe.markers) + [TokenType.NORMAL] * (len(symbols) + len(words))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(recipe.byte_pairs)
        writer.add_token_merges(merges)
        bos = tokens.index("<|endoftext|>")
    else:
        letters = [chr(code) for code in range(0x21, 0x7F)]
        words = ["▁", *letters, "th", "the", "▁the", "an", "in"]
        base = ["<unk>", "<s>", "</s>"]
        tokens = [*base, *(f"<0x{byte:02X}>" for byte in range(256)), *words, *recipe.markers]
        types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
        types += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(words) + [TokenType.CONTROL] * len(recipe.markers)
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(place) for place in range(len(tokens))])
        writer.add_unk_token_id(0)
        bos = 1
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(tokens.index(recipe.end))
    writer.add_add_bos_token(recipe.adds_bos)
    writer.add_add_space_prefix(recipe.adds_space)
    return len(tokens)


def _byte_symbols() -> dict[int, str]:
    """GPT-2's printable symbol for each byte (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {byte: chr(byte) for byte in printable}
    for place, byte in enumerate(byte for byte in range(256) if byte not in symbols):
        symbols[byte] = chr(256 + place)
    return symbols


def _add_tensors(writer: GGUFWriter, architecture: str, vocabulary: int, rng: np.random.Generator) -> None:
    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.15, (rows, columns)).astype(np.float32))

    def norm(name: str, width: int = WIDTH) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))

    matrix("token_embd", vocabulary, WIDTH)
    norm("output_norm")
    if architecture not in ("gemma2", "gemma3"):  # these tie the output to the embedding
        matrix("output", vocabulary, WIDTH)
    for layer in range(LAYERS):
        _add_layer(writer, architecture, f"blk.{layer}", matrix, norm)


def _add_layer(
    writer: GGUFWriter,
    architecture: str,
    block: str,
    matrix: Callable[[str, int, int], None],
    norm: Callable[..., None],
) -> None:
    norm(f"{block}.attn_norm")
    norm(f"{block}.ffn_norm")
    matrix(f"{block}.attn_output", WIDTH, HEADS * HEAD_WIDTH)
    matrix(f"{block}.ffn_down", WIDTH, HIDDEN)
    if architecture == "phi3":  # queries, keys and values in one matrix; gate and up in another
        matrix(f"{block}.attn_qkv", WIDTH + 2 * KV_WIDTH, WIDTH)
        matrix(f"{block}.ffn_up", 2 * HIDDEN, WIDTH)
        return
    matrix(f"{block}.attn_q", HEADS * HEAD_WIDTH, WIDTH)
    matrix(f"{block}.attn_k", KV_WIDTH, WIDTH)
    matrix(f"{block}.attn_v", KV_WIDTH, WIDTH)
    matrix(f"{block}.ffn_gate", HIDDEN, WIDTH)
    matrix(f"{block}.ffn_up", HIDDEN, WIDTH)
    if architecture == "qwen2":
        for name, width in (("attn_q", WIDTH), ("attn_k", KV_WIDTH), ("attn_v", KV_WIDTH)):
            writer.add_tensor(f"{block}.{name}.bias", np.zeros(width, np.float32))
    if architecture in ("qwen3", "gemma3"):
        norm(f"{block}.attn_q_norm", HEAD_WIDTH)
        norm(f"{block}.attn_k_norm", HEAD_WIDTH)
    if architecture in ("gemma2", "gemma3"):
        norm(f"{block}.post_attention_norm")
        norm(f"{block}.post_ffw_norm")
