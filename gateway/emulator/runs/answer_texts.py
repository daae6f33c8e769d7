"""Scripted answers to questions, with annotations at the right indexes. Pure.

Indexes count Unicode code points, as Python does. The number of tokens is a quarter of the number of characters.
"""

from collections.abc import Sequence

from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.objects import (
    ContentPart,
    FileCitation,
    RefusalPart,
    SearchResult,
    TextAnnotation,
    TextPart,
)

_CHARACTERS_PER_TOKEN = 4


def count_tokens(text: str) -> int:
    """Return the estimated number of tokens of a text, at least one."""
    return len(text) // _CHARACTERS_PER_TOKEN + 1


def count_content_tokens(parts: tuple[ContentPart, ...]) -> int:
    """Return the estimated number of tokens of content. An image counts like a short paragraph."""
    total = 0
    for part in parts:
        match part:
            case TextPart():
                total += count_tokens(part.value)
            case RefusalPart():
                total += count_tokens(part.refusal)
            case _:
                total += 85
    return total


def answer_parts(question: str, images: Sequence[ReadFile] = ()) -> tuple[ContentPart, ...]:
    """Return an answer with one paragraph for each sentence of the question, and one about its images."""
    sentences = [sentence for sentence in _sentences(question) if sentence]
    seen = [" ".join(image.describe() for image in images)] if images else []
    if not sentences and seen:
        return (TextPart(value=seen[0]),)
    if not sentences:
        return (TextPart(value="Hello! How can I help you today?"),)
    lead = f"Here is what I can say about “{_shortened(sentences[0])}”."
    points = [
        f"{number}. {_shortened(sentence)}: the short answer is yes, and the details follow from what you wrote."
        for number, sentence in enumerate(sentences, start=1)
    ]
    return (TextPart(value="\n\n".join([lead, *points, *seen, "Is there anything else you would like to know?"])),)


def output_quoting_parts(outputs: tuple[tuple[str, str], ...]) -> tuple[ContentPart, ...]:
    """Return an answer that quotes the output of each function call (name, output)."""
    lines = [f"- {name}: {output}" for name, output in outputs]
    return (TextPart(value="\n".join(["Here is what I found:", *lines])),)


def cited_text_part(question: str, results: tuple[SearchResult, ...]) -> TextPart:
    """Return an answer that cites each search result, with an annotation for each citation mark."""
    value = f"About “{_shortened(question)}”, your files say:"
    annotations: list[TextAnnotation] = []
    for index, result in enumerate(results):
        value += f"\n- {result.text}"
        mark = f"【{index}:0†{result.file_name}】"
        annotations.append(
            FileCitation(
                text=mark,
                start_index=len(value),
                end_index=len(value) + len(mark),
                file_id=result.file_id,
                quote=result.text,
            )
        )
        value += mark
    return TextPart(value=value, annotations=tuple(annotations))


def file_name_from_id(file_id: str) -> str:
    """Return a file name for a file whose id alone is known."""
    return f"{file_id.removeprefix('file-')[:8]}.md"


def _sentences(text: str) -> list[str]:
    marked = text
    # The wide marks are those of Chinese and Japanese text.
    for mark in "?!.。？！":  # noqa: RUF001
        marked = marked.replace(mark, mark + "\n")
    return [line.strip() for line in marked.splitlines()]


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
