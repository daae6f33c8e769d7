import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.files.file_form import UploadForm
from gateway.server.http.refusals import Refusal
from tests.support.file_samples import BOUNDARY, CSV, PNG, part, raw_form
from tests.support.full_runs import examples

TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def new_form(content_type: str | None = TYPE, content_length: int | None = None, max_bytes: int = 1000) -> UploadForm:
    return UploadForm(content_type, content_length, max_bytes, new_boundary=lambda: "b")


def converted(*parts: bytes, size: int = 1 << 20, ends: bool = True, max_bytes: int = 1000) -> bytes:
    form, body = new_form(max_bytes=max_bytes), raw_form(*parts, ends=ends)["data"]
    pieces = [piece for start in range(0, len(body), size) for piece in form.feed(body[start : start + size])]
    pieces += form.finish()
    assert form.is_complete
    return b"".join(pieces)


def expected(content: bytes, name: str, purpose: str) -> bytes:
    return (
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + content + (
        f'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n--b--\r\n'
    ).encode()  # fmt: skip


@given(st.integers(1, 40), st.booleans())
@examples(60)
def test_a_form_is_converted_however_it_is_cut(size: int, purpose_first: bool) -> None:
    parts = [part("file", CSV + b"\r\n--" + BOUNDARY.encode()[:5], "a.csv"), part("purpose", b"vision")]
    parts = parts[::-1] if purpose_first else parts
    assert converted(*parts, size=size) == expected(CSV + b"\r\n--" + BOUNDARY.encode()[:5], "a.csv", "vision")


@pytest.mark.parametrize(("content", "purpose"), [(PNG, "vision"), (CSV, "assistants"), (PNG[:15], "assistants")])
def test_the_purpose_follows_from_the_first_bytes(content: bytes, purpose: str) -> None:
    assert converted(part("file", content, "a.bin"), size=7) == expected(content, "a.bin", purpose)


def test_a_text_before_the_form_and_one_behind_it_are_no_part_of_it() -> None:
    form, body = new_form(), raw_form(part("file", b"x", "a"))["data"]
    pieces = [*form.feed(b"before\r\n" + body), *form.feed(b"behind"), *form.finish()]
    assert b"".join(pieces) == expected(b"x", "a", "assistants")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 71}",
        'multipart/form-data; boundary="a\nb"',
        "multipart/form-data; boundary=ä",
    ],
)
def test_a_body_of_another_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(Refusal, match="Expected Content-Type: multipart/form-data with a boundary") as refused:
        new_form(content_type)
    assert refused.value.status == 415


def test_a_body_that_says_that_it_is_too_long_is_refused_at_once() -> None:
    new_form(content_length=1000 + (64 << 10))
    with pytest.raises(Refusal, match=r"at most 1000 bytes \(GATEWAY_MAX_FILE_BYTES\)") as refused:
        new_form(content_length=1001 + (64 << 10))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "got none"),
        ((part("purpose", b"vision"),), "got none"),
        ((part("file", b"", "a"),), "got an empty one"),
        ((part("file", b"x", "a"), part("file", b"y", "b")), "got two"),
        ((part("purpose", b"a"), part("purpose", b"b")), "Expected one part 'purpose', got two"),
        ((part("purpose", b"a", "a.txt"),), 'got "purpose"'),
        ((part("other", b"a"),), 'got "other"'),
        ((part("file", b"a", "a"), part("purpose", b"two words")), 'got "two words"'),
        ((part("file", b"a", "a"), part("purpose", b"\xff")), "in the part 'purpose', got"),
        ((part("file", b"YQ==", "a", "Content-Transfer-Encoding: base64\r\n"),), "without Content-Transfer-Enc"),
        ((part("file", b"x", "a", "Content-Encoding: gzip\r\n"),), "without Content-Encoding"),
        ((part("file", b"x", "a", "X: y\r\n" * 20),), "malformed"),
        ((part("file", b"x", "a" * 5000),), "malformed one: Maximum segment header length exceeded."),
        ((part("file", b"x", "a").replace(b"a", b"\xff"),), "Expected the headers of parts in UTF-8, got other bytes."),
        ((b"X: y\r\n\r\nx",), "malformed"),
        ((b"no header\r\n\r\nx",), "malformed"),
        ((part("file", b"x" * 1001, "a"),), "at most 1000 bytes"),
        (tuple(part("purpose", b"") for _ in range(2)), "got two"),
        ((part("purpose", b"x" * 70_000),), "beside the file"),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 50])
def test_a_bad_form_is_refused_with_its_fault(parts: tuple[bytes, ...], message: str, size: int) -> None:
    with pytest.raises(Refusal) as refused:
        converted(*parts, size=size)
    assert message in refused.value.error.message


@pytest.mark.parametrize("length", range(1, len(raw_form(part("file", b"x", "a"))["data"]) - 2))
def test_a_form_without_its_end_is_never_complete(length: int) -> None:
    form = new_form()
    form.feed(raw_form(part("file", b"x", "a"))["data"][:length])
    with pytest.raises(Refusal, match="complete form"):
        form.finish()
    assert not form.is_complete


def test_no_more_than_a_piece_is_held() -> None:
    form = new_form(max_bytes=1 << 30)
    form.feed(raw_form(part("file", b"", "a"), ends=False)["data"][:-2])
    longest = max(len(piece) for _ in range(50) for piece in form.feed(b"\r" * (1 << 16)))
    assert longest <= (1 << 16) + 100


PIECES = st.sampled_from(
    [
        b"--" + BOUNDARY.encode(),
        b"\r\n",
        b"\n",
        b"--",
        b'Content-Disposition: form-data; name="file"; filename="a"',
        b'Content-Disposition: form-data; name="purpose"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a",
        b"Content-Disposition: attachment",
        b"Content-Length: 5",
        b"Content-Type: text/html",
        b"x" * 50,
        b"\xff\x00",
        b":",
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=30), st.integers(1, 100))
@examples(400)
def test_whatever_arrives_is_a_file_or_refused(pieces: list[bytes], size: int) -> None:
    body, form = b"".join(pieces), new_form()
    sent, status = b"", 200
    try:
        for start in range(0, len(body), size):
            sent += b"".join(form.feed(body[start : start + size]))
        sent += b"".join(form.finish())
    except Refusal as refused:
        status = refused.status
    assert status in {200, 400, 413}
    assert form.is_complete is (status == 200)
    assert sent.endswith(b"\r\n--b--\r\n") is (status == 200)
    assert status != 200 or form.file_bytes > 0
