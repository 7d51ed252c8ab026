"""Nothing is reported to anybody: every dependency that would is told not to, before it is imported."""

from __future__ import annotations

import os


def silence_telemetry() -> None:
    """Tell every dependency, before it is imported, to report nothing and to dial nothing."""
    quiet = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "ANONYMIZED_TELEMETRY": "False",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OPENVINO_TELEMETRY_DISABLED": "1",
        "CI": os.environ.get("CI", "true"),  # openvino_telemetry's own opt-out: it reports nothing in CI
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
