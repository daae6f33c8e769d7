"""The demo thread of a data analysis: attachments, code with logs and a chart, a file to download, citations."""

from gateway.emulator.demo.demo_assistants import FILE_HANDBOOK, FILE_SALES
from gateway.emulator.demo.narrator import BeginStory, marked_text
from gateway.emulator.objects import (
    Assistant,
    Attachment,
    CodeImage,
    CodeLogs,
    FileCitation,
    FilePath,
    ImageFilePart,
    SearchResult,
    TextPart,
)
from gateway.emulator.runs.script import RunCode, SearchFiles, WriteMessage

THREAD_ANALYSIS = "thread_demoQuarterlySales000001"
RUN_CODE = "run_demoQuarterlySales000001"
RUN_SEARCH = "run_demoQuarterlySales000002"
FILE_CHART = "file-demoSalesChart00000001"
FILE_REPORT = "file-demoSalesReport0000001"
_CODE = """import pandas as pd
import matplotlib.pyplot as plt

sales = pd.read_csv("/mnt/data/sales.csv")
by_region = sales.groupby("region")["revenue"].sum().sort_values(ascending=False)
print(by_region)
by_region.plot.bar()
plt.savefig("/mnt/data/sales.png")
by_region.to_csv("/mnt/data/report.csv")
"""
_LOGS = """region
Île-de-France    412800
Bayern           388150
東京都             301990
Name: revenue, dtype: int64
"""
_PATH = "sandbox:/mnt/data/report.csv"
_FIGURES = f"""Île-de-France leads with 412,800 €, then Bayern (388,150 €) and 東京都 (301,990 €). 📈

You can [download the table]({_PATH})."""
_FIRST_MARK = "【4:0†handbook.pdf】"
_SECOND_MARK = "【4:3†handbook.pdf】"
_POLICY = (
    f"Revenue counts when the goods leave the warehouse 🏭{_FIRST_MARK}, and returns are taken off in the quarter "
    f"in which they arrive{_SECOND_MARK}. So the December parcels belong to Q4."
)
_QUOTES = {
    _FIRST_MARK: "Revenue is recognised on dispatch.",
    _SECOND_MARK: "Returns reduce the revenue of the quarter in which they are received.",
}


def write_conversation(begin: BeginStory, started_at: float, analyst: Assistant) -> None:
    """Write the conversation about the quarter's sales."""
    story = begin(
        THREAD_ANALYSIS,
        started_at,
        metadata={"title": "Quarterly sales"},
        tool_resources={"code_interpreter": {"file_ids": [FILE_SALES]}},
    )
    story.say(
        "Which region sold most last quarter? Please draw a chart and give me the table as a file.",
        attachments=[Attachment(FILE_SALES, ("code_interpreter",))],
    )
    ((path, start, end),) = marked_text(_FIGURES, [_PATH])
    download = FilePath(text=path, start_index=start, end_index=end, file_id=FILE_REPORT)
    story.run(
        analyst,
        RunCode(_CODE, (CodeLogs(logs=_LOGS), CodeImage(file_id=FILE_CHART))),
        WriteMessage((ImageFilePart(file_id=FILE_CHART), TextPart(value=_FIGURES, annotations=(download,)))),
    )
    story.wait(1200)
    story.say(
        "Do parcels that left on 31 December but arrived in January count? Our handbook is attached.",
        attachments=[Attachment(FILE_HANDBOOK, ("file_search",))],
    )
    citations = tuple(
        FileCitation(text=mark, start_index=start, end_index=end, file_id=FILE_HANDBOOK, quote=_QUOTES[mark])
        for mark, start, end in marked_text(_POLICY, [_FIRST_MARK, _SECOND_MARK])
    )
    results = tuple(
        SearchResult(file_id=FILE_HANDBOOK, file_name="handbook.pdf", score=score, text=quote)
        for score, quote in zip((0.92, 0.81), _QUOTES.values(), strict=True)
    )
    story.run(
        analyst,
        SearchFiles(results, query="When does revenue count?"),
        WriteMessage((TextPart(value=_POLICY, annotations=citations),)),
    )
