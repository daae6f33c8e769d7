"""Answers with the code interpreter: about a table that the question attaches, or about the question's words. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.emulator.content.bar_chart import draw_bar_chart
from gateway.emulator.content.csv_table import CsvTable
from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import ContentPart, FilePath, ImageFilePart, TextPart

_DRAWING_WORDS = ("chart", "plot", "graph", "diagram", "image", "draw")
_FILE_WORDS = ("csv", "file", "export", "spreadsheet", "download")
_FOLDER = "/mnt/data/"
_CHART = "chart.png"
_RESULT = "result.csv"
_PRINTED_ROWS = 10


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that code makes."""

    file_id: str
    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """A piece of code, the text that it prints, the files that it makes, and the answer that uses them."""

    code: str
    logs: str
    files: tuple[MadeFile, ...]
    parts: tuple[ContentPart, ...]

    @property
    def image_file_id(self) -> str | None:
        """Return the id of the image that the code draws, if it draws one."""
        return next((file.file_id for file in self.files if file.filename == _CHART), None)


def code_answer(run_id: str, question: str, files: Sequence[ReadFile], *, draws: bool) -> CodeAnswer:
    """Return an answer with code: about the first table among the files, or about the words of the question."""
    for file in files:
        if table := file.to_table():
            return _answer_about_table(run_id, file, table, [other for other in files if other is not file])
    return _answer_about_words(run_id, question, files, draws=draws)


def _answer_about_table(run_id: str, file: ReadFile, table: CsvTable, others: Sequence[ReadFile]) -> CodeAnswer:
    """Return code that ranks the rows of a table, draws them and writes them to a file."""
    ranked = table.ranked_rows()
    code = "\n".join(
        (
            f"table = pd.read_csv({_quoted(_FOLDER + file.filename)})",
            "print(table.shape)",
            f"ranked = table.sort_values({_quoted(table.number_column)}, ascending=False)",
            f"print(ranked.head({_PRINTED_ROWS}))",
            f"ranked.plot.bar(y={_quoted(table.number_column)})",
            f"plt.savefig({_quoted(_FOLDER + _CHART)})",
            f"ranked.to_csv({_quoted(_FOLDER + _RESULT)}, index=False)",
        )
    )
    printed = [f"{label}  {number:.15g}" for label, number in ranked[:_PRINTED_ROWS]]
    logs = "\n".join([f"({len(table.rows)}, {len(table.columns)})", *printed, ""])
    chart = _made_file(run_id, _CHART, draw_bar_chart([number for _, number in ranked]))
    result = _made_file(run_id, _RESULT, table.ranked_csv().encode())
    label, number = ranked[0]
    sentences = [
        f"{file.filename} has {len(table.rows)} rows and {len(table.columns)} columns.",
        f"The largest {table.number_column} is {number:.15g} ({table.label_column or 'row'} {label}).",
        *(other.describe() for other in others),
    ]
    text = _with_download(" ".join(sentences), result)
    return CodeAnswer(code, logs, (chart, result), (ImageFilePart(file_id=chart.file_id), text))


def _answer_about_words(run_id: str, question: str, files: Sequence[ReadFile], *, draws: bool) -> CodeAnswer:
    """Return code about the question's words. It draws if `draws`, and it makes what the question asks for."""
    words = question.casefold()
    count = len(question.split())
    code = f"words = {count}\nprint(f'{{words}} words, {{words ** 2}} pairs')"
    made: tuple[MadeFile, ...] = ()
    parts: tuple[ContentPart, ...] = ()
    if draws or any(word in words for word in _DRAWING_WORDS):
        code += f"\nplt.bar(['words', 'pairs'], [words, words ** 2])\nplt.savefig('{_FOLDER}{_CHART}')"
        made = (_made_file(run_id, _CHART, draw_bar_chart([count, count**2])),)
        parts = (ImageFilePart(file_id=made[0].file_id),)
    sentences = [
        f"Your question has {count} words, which makes {count**2} pairs.",
        *(file.describe() for file in files),
    ]
    text = TextPart(value=" ".join(sentences))
    if any(word in words for word in _FILE_WORDS):
        code += f"\npd.DataFrame({{'words': [words]}}).to_csv('{_FOLDER}{_RESULT}', index=False)"
        made = (*made, _made_file(run_id, _RESULT, f"words\n{count}\n".encode()))
        text = _with_download(text.value, made[-1])
    return CodeAnswer(code, f"{count} words, {count**2} pairs\n", made, (*parts, text))


def _made_file(run_id: str, filename: str, content: bytes) -> MadeFile:
    return MadeFile(id_from_name("file", f"{run_id}:{filename}"), filename, content)


def _with_download(value: str, file: MadeFile) -> TextPart:
    before, path = f"{value} You can download the [result](", f"sandbox:{_FOLDER}{file.filename}"
    annotation = FilePath(text=path, start_index=len(before), end_index=len(before) + len(path), file_id=file.file_id)
    return TextPart(value=f"{before}{path}).", annotations=(annotation,))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
