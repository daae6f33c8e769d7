"""The files of the demo, which its conversations attach and its assistants wrote."""

from gateway.emulator.demo.analysis import FILE_CHART, FILE_REPORT
from gateway.emulator.demo.demo_assistants import FILE_HANDBOOK, FILE_SALES
from gateway.emulator.demo.support import FILE_TEAPOT
from gateway.emulator.objects import UploadedFile
from gateway.emulator.runs.made_files import IMAGE
from gateway.emulator.state.store import Store

_SALES = "region,sales\nÎle-de-France,412800\nBayern,388150\n東京都,301990\n".encode()
_HANDBOOK = b"Parcels count in the quarter in which they leave the warehouse.\n"
_FILES = (
    (FILE_SALES, "sales.csv", "assistants", _SALES),
    (FILE_HANDBOOK, "handbook.pdf", "assistants", _HANDBOOK),
    (FILE_TEAPOT, "teapot.png", "vision", IMAGE),
    (FILE_CHART, "chart.png", "assistants_output", IMAGE),
    (FILE_REPORT, "report.csv", "assistants_output", _SALES),
)


def add_demo_files(store: Store, partition: str, created_at: int) -> None:
    """Store the files of the demo."""
    for file_id, name, purpose, content in _FILES:
        file = UploadedFile(id=file_id, created_at=created_at, filename=name, purpose=purpose, size=len(content))
        store.store_file(partition, file, content)
