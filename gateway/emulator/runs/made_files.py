"""The files that a run's code interpreter makes: images and files for download. Pure."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.emulator.objects import CodeImage, FilePath, TextPart
from gateway.emulator.runs.script import RunCode, Script, WriteMessage

# An image of one grey pixel: nothing is drawn here.
IMAGE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a run makes."""

    file_id: str
    filename: str
    content: bytes


def made_files(script: Script) -> Iterator[MadeFile]:
    """Yield the files that the actions of a script make."""
    for action in script.actions:
        match action:
            case RunCode(outputs=outputs):
                for output in outputs:
                    if isinstance(output, CodeImage):
                        yield MadeFile(output.file_id, "chart.png", IMAGE)
            case WriteMessage(parts=parts):
                text = "".join(part.value for part in parts if isinstance(part, TextPart))
                annotations = [one for part in parts if isinstance(part, TextPart) for one in part.annotations]
                for annotation in annotations:
                    if isinstance(annotation, FilePath):
                        name = annotation.text.rpartition("/")[2]
                        yield MadeFile(annotation.file_id, name, text.encode())
