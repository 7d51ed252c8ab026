"""Bytes of every encoding that people send: a single £ in an English page is a pound, and Cyrillic stays Cyrillic."""

from __future__ import annotations

import pytest

from ingest.cleaning import decode, western

ENGLISH = (
    "The annual maintenance of the pump is carried out by the service department. Please contact the helpdesk before "
    "opening the housing. All prices exclude VAT and delivery. "
)
WESTERN = (
    "The price is £1,250 per unit. ", "The price is 1,250 € per unit. ", "It must stay below 80 °C. ",
    "It’s called the “green room” – ask reception… ", "Diameter 12 ±0.1 mm, area 5 m². ", "• First\n• Second\n",
    "Acme® Pump™ © 2023 Acme. ", "Contact: André Müller, José Núñez. ", "Use ½ cup, ¼ turn. ", "Filter of 5 µm. ",
    "See § 5 para 2. ", "Total 1\xa0250 units. ", "La società è più attiva, però lì no.",
    "As informações não são públicas.", "Größe der Prüfstände: 12 m² für Müller & Söhne, Preis 5 €",
)  # fmt: skip
OTHER = (
    ("cp1250", "Zażółć gęślą jaźń, urlop wynosi 26 dni w roku, wniosek składa się na piśmie"),
    ("cp1251", "Отпуск составляет 28 дней в году"),
    ("shift_jis", "会社の休日は年に百二十日です。有給休暇は二十日。"),
    ("big5", "公司假期為每年十五天。"),
    ("gb2312", "公司假期为每年十五天。"),
    ("euc-kr", "휴가는 1년에 15일입니다."),
    ("iso-8859-7", "Η άδεια είναι 20 ημέρες"),
    ("shift_jis", "Plain English with ポンプ in it"),
    ("cp1250", "Dovolená činí 25 dnů, příští týden, zaměstnanec žádá písemně"),
)
NOT_WESTERN = (
    ("cp1250", "Szabadság évi 20 nap, őszi szünet, kérelmet írásban"),
    ("cp1250", "ve dnech měsíce, době a městě"),
    ("koi8-r", "Отпуск составляет 28 дней"),
    ("iso-8859-9", "Yıllık izin 14 gün, İş Kanunu, ağırlık, başvuru"),
    ("iso-8859-2", "Zażółć gęślą jaźń, urlop"),
    ("shift_jis", "休日"),
    ("cp437", "Preis für Größe"),
    ("mac_roman", "Größe für Müller “x”"),
    ("cp1255", "חופשה שנתית"),
    ("cp1256", "الإجازة السنوية"),
    ("gbk", "Plain English with 水泵 in it"),
)


@pytest.mark.parametrize("words", WESTERN)
def test_western_characters_are_read_however_few_they_are(words: str) -> None:
    for text in (
        *(ENGLISH * count + words for count in (0, 1, 20)),
        "id;name;note\n"
        + "".join(f"{n};Pump {n};maintenance of unit {n} done\n" for n in range(9))
        + f"99;x;{words}\n",
    ):
        assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(("encoding", "words"), OTHER)
def test_other_encodings_are_no_mojibake(encoding: str, words: str) -> None:
    assert decode(words.encode(encoding)) == words


@pytest.mark.parametrize(("encoding", "words"), NOT_WESTERN + OTHER)
def test_other_encodings_are_not_taken_for_western(encoding: str, words: str) -> None:
    for text in (words, "name;note\n" + "1;Plain row of English\n" * 40 + f"2;{words}"):
        assert western(text.encode(encoding)) is None


def test_late_characters_are_looked_at() -> None:
    assert decode(b"x" * 3_000_000 + b"\n" + "naïve café".encode("cp1252")).endswith("naïve café")


def test_a_broken_byte_makes_no_other_encoding_of_utf_8() -> None:
    text = "Größe für Müller: déjà vu"
    assert decode(f"{text}, Ö".encode()[:-1]) == f"{text}, \ufffd"


def test_a_page_is_read_as_it_says_unless_that_is_a_lie() -> None:
    for told, encoding in (("koi8-r", "koi8-r"), ("iso-8859-2", "iso-8859-2"), ("utf-8", "cp1252")):
        page = f'<meta charset="{told}"><p>' + {"koi8-r": "Насос", "cp1252": "£5"}.get(encoding, "Zażółć")
        assert decode(page.encode(encoding)) == page
    assert decode('<meta charset="latin-1"><p>“5 €”'.encode("cp1252")).endswith("“5 €”")
    assert decode(b"charset=punycode \xa35") == "charset=punycode £5"
