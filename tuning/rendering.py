"""Examples as token ids, by the tokenizer and the chat template that serve: training and serving see the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.engine.llama import Llama
from rag.profiles import TEMPLATES, segments
from tuning.examples import Example
from tuning.training import Tokens


def render(examples: Sequence[Example], model: Path, template: str, *, longest: int) -> list[Tokens]:
    """Prompt and answer of each example, the end of the turn included; those beyond `longest` tokens are left out."""
    llama = Llama(model, context_tokens=256, threads=1, gpu_layers=0)
    try:
        end = llama.tokenize(TEMPLATES[template].stop, special=True)
        made: list[Tokens] = []
        for example in examples:
            prompt = llama.bos() + [
                token
                for segment in segments(template, example.messages)
                for token in llama.tokenize(segment.text, special=segment.special)
            ]
            answer = llama.tokenize(example.answer, special=False) + end
            if len(prompt) + len(answer) <= longest:
                made.append((prompt, answer))
        return made
    finally:
        llama.close()
