"""What stands beside a figure says what decides it."""

import pytest

from evaluation.machine import described, hardware

CORE = "processor\t: {n}\nmodel name\t: AMD EPYC: 9B14\nflags\t\t: fpu sse2 {flags}\n\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("avx2 avx512f avx512_bf16 amx_tile amx_int8", "AMD EPYC: 9B14 (AMX)"),
        ("avx2 avx512f avx512_bf16", "AMD EPYC: 9B14 (AVX-512 with bfloat16)"),
        ("avx2 avx512f", "AMD EPYC: 9B14 (AVX-512)"),
        ("avx avx2", "AMD EPYC: 9B14 (AVX2)"),
        ("avx", "AMD EPYC: 9B14"),
    ],
)
def test_the_widest_vector_instructions_are_named(flags: str, said: str) -> None:
    assert described("".join(CORE.format(n=n, flags=flags) for n in range(2))) == said


def test_a_processor_without_a_name_is_left_to_the_system() -> None:
    assert described("processor\t: 0\nFeatures\t: fp asimd\n") == ""
    assert " cores of " in hardware()
