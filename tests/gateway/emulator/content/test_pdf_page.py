import re

from gateway.emulator.content.pdf_page import write_pdf


def test_every_object_stands_where_the_table_says() -> None:
    document = write_pdf(["Chapter (4) \\ é"])
    table = int(document.rpartition(b"startxref\n")[2].split()[0])
    assert document[table:].startswith(b"xref\n0 7\n")
    starts = [int(start) for start in re.findall(rb"(\d{10}) 00000 n", document[table:])]
    assert [document[start:].split(b" obj")[0] for start in starts] == [b"%d 0" % number for number in range(1, 7)]
    (length,) = re.findall(rb"/Length (\d+)", document)
    stream = document.partition(b"stream\n")[2][: int(length)]
    assert (stream.startswith(b"BT "), stream.endswith(b"\nET")) == (True, True)
    assert rb"(Chapter \(4\) \\ " + b"\xe9) Tj" in stream
