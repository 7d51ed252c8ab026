"""What is read of a message of many parts: words in order, forwarded messages, the better of two alternatives."""

from __future__ import annotations

from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

from ingest.readers import Extracted, reader_for
from ingest.readers_mail import MAX_DEPTH, MAX_FORWARDED


def read(folder: Path, message: Message) -> Extracted:
    path = folder / "a.eml"
    path.write_bytes(b"From: Ann\n" + message.as_bytes())
    return reader_for(path).read(path)


def told(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ben <b@example.org>", "c@example.org", subject
    message["Date"] = "Tue, 02 Jan 2024 10:00:00 +0100"
    message.set_content(text)
    return message


def file(name: str, text: str) -> MIMEText:
    part = MIMEText(text)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def picture() -> MIMEApplication:
    part = MIMEApplication(b"\x89PNG")
    part.add_header("Content-Disposition", "inline", filename="pump.png")
    return part


def test_text_on_both_sides_of_a_picture_is_read_in_order(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        MIMEMultipart(
            _subparts=[
                MIMEText("See the picture.\n"),
                picture(),
                MIMEText("<p>At most 5 bar.</p>", "html"),
                file("a.txt", "secret"),
            ]
        ),
    )
    assert found.text == "From: Ann\nAttachments: pump.png, a.txt\n\nSee the picture.\n\nAt most 5 bar.\n"
    assert found.metadata["attachments"] == 2


def test_a_forwarded_message_is_read_with_its_headers(tmp_path: Path) -> None:
    inner = MIMEMessage(told("Valve code", "The code is 4711."))
    head = (
        "From: Ben <b@example.org>\nTo: c@example.org\nDate: Tue, 02 Jan 2024 10:00:00 +0100\nSubject: Valve code\n\n"
    )
    found = read(tmp_path, MIMEMultipart(_subparts=[MIMEText("FYI"), inner]))
    assert found.text == f"From: Ann\n\nFYI\n\n{head}The code is 4711.\n"
    assert "attachments" not in found.metadata
    assert read(tmp_path, MIMEMultipart(_subparts=[inner])).text == f"From: Ann\n\n{head}The code is 4711.\n"


def test_of_alternatives_the_plain_text_is_read_unless_it_is_empty(tmp_path: Path) -> None:
    html = MIMEMultipart("related", _subparts=[MIMEText("<p>30 days</p>", "html"), MIMEText("part of it")])
    for plain, body in (("Plain words.", "Plain words."), (" \n", "30 days")):
        found = read(tmp_path, MIMEMultipart("alternative", _subparts=[MIMEText(plain), html]))
        assert found.text == f"From: Ann\n\n{body}\n"


def test_messages_within_messages_are_bounded_in_depth_and_count(tmp_path: Path) -> None:
    many = MIMEMultipart(_subparts=[MIMEMessage(told(f"n{number}", f"Word {number}.")) for number in range(300)])
    assert read(tmp_path, many).text.count("Word ") == MAX_FORWARDED
    nested = told("deep", "Word.")
    for _ in range(30):
        outer = EmailMessage()
        outer["Subject"] = "Fwd"
        outer.set_content("Above.")
        outer.add_attachment(nested)
        nested = outer
    text = read(tmp_path, nested).text
    assert 0 < text.count("Above.") <= MAX_DEPTH
    assert "Word." not in text
