import pytest

from gateway.emulator.content.canvas import PNG_SIGNATURE
from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.objects import ImageFilePart, TextPart
from gateway.emulator.runs.code_answers import CodeAnswer, code_answer

SALES = 'region,note,sales\nBayern,,388150\n"Île-de-France",x,412800.5\n東京都,y,-7\n'.encode()


def a_file(content: bytes, filename: str = "sales.csv") -> ReadFile:
    return ReadFile(filename, len(content), content)


def answer_text(answer: CodeAnswer) -> TextPart:
    part = answer.parts[-1]
    assert isinstance(part, TextPart)
    return part


def test_code_draws_when_the_question_asks_for_a_chart() -> None:
    assert code_answer("run_1", "How many?", [], draws=False).files == ()
    drawn = code_answer("run_1", "Draw a CHART 📈", [], draws=False)
    (chart,) = drawn.files
    assert drawn.parts[0] == ImageFilePart(file_id=chart.file_id)
    assert (chart.filename, drawn.image_file_id) == ("chart.png", chart.file_id)
    assert chart.content.startswith(PNG_SIGNATURE)


def test_a_file_to_download_is_annotated_at_its_indexes() -> None:
    answer = code_answer("run_1", "Ça va? Make a csv 🎉", [], draws=False)
    part = answer_text(answer)
    (annotation,) = part.annotations
    assert part.value[annotation.start_index : annotation.end_index] == annotation.text
    assert annotation.text == "sandbox:/mnt/data/result.csv"
    (made,) = answer.files
    assert (made.file_id, made.content) == (annotation.file_id, b"words\n6\n")


def test_an_attached_table_is_ranked_drawn_and_written() -> None:
    answer = code_answer("run_1", "Who leads?", [a_file(b"Hello", "a.md"), a_file(SALES)], draws=False)
    chart, result = answer.files
    assert (chart.filename, result.filename) == ("chart.png", "result.csv")
    assert result.content.decode() == "region,sales\nÎle-de-France,412800.5\nBayern,388150\n東京都,-7\n"
    assert 'pd.read_csv("/mnt/data/sales.csv")' in answer.code
    assert answer.logs == "(3, 3)\nÎle-de-France  412800.5\nBayern  388150\n東京都  -7\n"
    part = answer_text(answer)
    assert part.value.startswith(
        "sales.csv has 3 rows and 3 columns. The largest sales is 412800.5 (region Île-de-France). "
        "a.md is a file of 5 bytes. You can download the [result]("
    )
    assert [annotation.file_id for annotation in part.annotations] == [result.file_id]


def test_each_run_makes_files_of_its_own_and_always_the_same() -> None:
    first, same, other = (
        code_answer(run_id, "Who leads?", [a_file(SALES)], draws=False) for run_id in ("run_1", "run_1", "run_2")
    )
    assert first == same
    assert not {file.file_id for file in first.files} & {file.file_id for file in other.files}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n",
        b"a,b\n1\n",
        b"a,b\nx,y\n",
        b'a\n"1',
        b"\xff\xfe,b\n1,2\n",
        b"a\nnan\n",
        b"a\ninf\n",
        b"a\n1\n2\0",
    ],
)
def test_a_file_without_a_column_of_numbers_is_described(content: bytes) -> None:
    answer = code_answer("run_1", "Who leads?", [a_file(content)], draws=False)
    assert answer_text(answer).value.endswith(f" sales.csv is a file of {len(content)} bytes.")


def test_a_table_of_which_only_the_beginning_was_read_is_described() -> None:
    answer = code_answer("run_1", "Who?", [ReadFile("big.csv", 2_000_000, b"a\n1\n")], draws=False)
    assert answer_text(answer).value.endswith(" big.csv is a file of 2000000 bytes.")


def test_rows_without_labels_have_numbers() -> None:
    answer = code_answer("run_1", "?", [a_file(b"\xef\xbb\xbfn\r\n3\r\n\r\n5\r\n")], draws=False)
    assert answer.files[1].content == b"row,n\n2,5\n1,3\n"
    assert "The largest n is 5 (row 2)." in answer_text(answer).value
