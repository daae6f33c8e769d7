"""The files of the demo, which its conversations attach and its assistants wrote."""

from gateway.emulator.content.bar_chart import draw_bar_chart
from gateway.emulator.content.canvas import Canvas
from gateway.emulator.content.pdf_page import write_pdf
from gateway.emulator.demo.analysis import FILE_CHART, FILE_REPORT
from gateway.emulator.demo.demo_assistants import FILE_HANDBOOK, FILE_SALES
from gateway.emulator.demo.support import FILE_TEAPOT
from gateway.emulator.objects import UploadedFile
from gateway.emulator.state.store import Store

_SALES = """region,month,revenue
Île-de-France,2026-07,131200
Bayern,2026-07,127400
東京都,2026-07,98700
Île-de-France,2026-08,138900
Bayern,2026-08,129250
東京都,2026-08,101390
Île-de-France,2026-09,142700
Bayern,2026-09,131500
東京都,2026-09,101900
"""
_REPORT = "region,revenue\nÎle-de-France,412800\nBayern,388150\n東京都,301990\n"
_HANDBOOK = (
    "Handbook of the webshop, chapter 4",
    "",
    "Revenue is recognised on dispatch.",
    "Parcels count in the quarter in which they leave the warehouse.",
    "Returns reduce the revenue of the quarter in which they are received.",
)


def add_demo_files(store: Store, partition: str, created_at: int) -> None:
    """Store the files of the demo."""
    for file_id, name, purpose, content in (
        (FILE_SALES, "sales.csv", "assistants", _SALES.encode()),
        (FILE_HANDBOOK, "handbook.pdf", "assistants", write_pdf(_HANDBOOK)),
        (FILE_TEAPOT, "teapot.png", "vision", _draw_teapot()),
        (FILE_CHART, "chart.png", "assistants_output", draw_bar_chart((412_800, 388_150, 301_990))),
        (FILE_REPORT, "report.csv", "assistants_output", _REPORT.encode()),
    ):
        file = UploadedFile(id=file_id, created_at=created_at, filename=name, purpose=purpose, size=len(content))
        store.store_file(partition, file, content)


def _draw_teapot() -> bytes:
    """Return a picture of a teapot on a table, its broken lid beside it, as PNG."""
    wall, table, glaze, shadow, crack = range(5)
    picture = Canvas(320, 240, ((236, 240, 244), (176, 140, 104), (66, 120, 160), (44, 84, 116), (28, 32, 40)))
    picture.fill_rectangle(0, 170, 320, 240, table)
    # The handle is a ring, and the spout a row of ever smaller discs.
    picture.fill_ellipse(78, 128, 36, 40, shadow)
    picture.fill_ellipse(78, 128, 24, 28, wall)
    for place in range(30):
        picture.fill_ellipse(205 + 1.6 * place, 140 - 2.0 * place, 16 - 0.3 * place, 16 - 0.3 * place, shadow)
    picture.fill_ellipse(148, 140, 72, 56, glaze)
    picture.fill_rectangle(104, 192, 192, 200, shadow)
    picture.fill_ellipse(148, 90, 40, 8, crack)
    # Two halves of the lid.
    picture.fill_ellipse(252, 206, 30, 10, glaze)
    picture.fill_ellipse(252, 196, 7, 6, shadow)
    picture.fill_rectangle(249, 194, 255, 218, table)
    picture.fill_rectangle(250, 194, 252, 218, crack)
    return picture.to_png()
