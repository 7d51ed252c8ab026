"""Telling languages apart."""

import pytest

from rag.language import detect


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Who is the owner of the pump?", "en"),
        ("Wie hoch ist der Druck im Reaktor und wer misst ihn?", "de"),
        ("Quelle est la pression dans le réacteur ?", "fr"),
        ("¿Cuál es la presión del reactor?", "es"),
        ("反应器的压力是多少？", "zh"),
        ("ポンプの圧力はいくらですか", "ja"),
        ("Какое давление в реакторе?", "ru"),
        ("12345 ???", "und"),
        ("P-214", "und"),
    ],
)
def test_language_is_told_by_script_and_common_words(text: str, code: str) -> None:
    assert detect(text) == code
