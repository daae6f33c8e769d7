from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.content.canvas import Canvas
from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.objects import ImageFilePart, RefusalPart, SearchResult, TextPart
from gateway.emulator.runs.answer_texts import (
    answer_parts,
    cited_text_part,
    count_content_tokens,
    count_tokens,
    output_quoting_parts,
)


@given(st.text())
def test_any_question_has_an_answer_which_is_always_the_same(question: str) -> None:
    (part,) = answer_parts(question)
    assert isinstance(part, TextPart)
    assert part.value
    assert (part,) == answer_parts(question)


def test_a_longer_question_has_a_longer_answer() -> None:
    assert count_content_tokens(answer_parts("What? " * 30)) > 256 > count_content_tokens(answer_parts("What?"))


def test_outputs_are_quoted_with_their_names() -> None:
    (part,) = output_quoting_parts((("get_food", "tacos 🌮"),))
    assert isinstance(part, TextPart)
    assert "- get_food: tacos 🌮" in part.value


@given(st.text(max_size=50), st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_citations_are_at_their_indexes(question: str, passages: list[str]) -> None:
    results = tuple(
        SearchResult(file_id=f"file-{number}", file_name="é🎉.md", score=0.5, text=text)
        for number, text in enumerate(passages)
    )
    part = cited_text_part(question, results)
    assert len(part.annotations) == len(results)
    for annotation in part.annotations:
        assert part.value[annotation.start_index : annotation.end_index] == annotation.text


def test_an_answer_describes_the_images_of_the_question() -> None:
    image = ReadFile("lid.png", 5000, Canvas(30, 20, [(0, 0, 0)]).to_png())
    for question in ("What is this?", ""):
        (part,) = answer_parts(question, [image])
        assert isinstance(part, TextPart)
        assert "lid.png is an image of 30 × 20 pixels and 5000 bytes." in part.value  # noqa: RUF001


def test_tokens_are_a_quarter_of_the_characters() -> None:
    assert (count_tokens(""), count_tokens("x" * 40)) == (1, 11)
    assert count_content_tokens((RefusalPart(refusal="x" * 40), ImageFilePart(file_id="file-1"))) == 96
