"""The files of a run or response: those that its question brings, those that it can search, and those that it makes."""

from collections.abc import Iterable, Sequence

from gateway.emulator.bodies.reply_objects import own_store_id
from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import ImageFilePart, Message, Run, Thread, UploadedFile
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.runs.answer_texts import file_name_from_id
from gateway.emulator.runs.script import Script

# Of a longer file only the beginning is read, and so no table.
_MAX_READ_BYTES = 1 << 20


def read_images(call: ApiCall, question: Message | None) -> tuple[ReadFile, ...]:
    """Return the images of a question that the client uploaded."""
    parts = question.content if question else ()
    return read_files(call, [part.file_id for part in parts if isinstance(part, ImageFilePart)])


def read_data_files(call: ApiCall, question: Message | None) -> tuple[ReadFile, ...]:
    """Return the files that a question attaches for the code interpreter."""
    attachments = question.attachments if question else ()
    return read_files(call, [one.file_id for one in attachments if "code_interpreter" in one.tools])


def searchable_files(
    call: ApiCall, run: Run, thread: Thread | None, newest: Sequence[Message]
) -> dict[str, str | None]:
    """Return the files that a search would read, by id and with their names, newest messages first.

    The emulator has no API of vector stores, so each store counts as one file, which is made when it is first searched.
    The exception is the assistant's own store, whose files are known.
    """
    attached = [
        attachment.file_id
        for message in newest
        for attachment in message.attachments
        if "file_search" in attachment.tools
    ]
    resources = (run.tool_resources, thread.tool_resources if thread else {})
    stores = [one for resource in resources for one in resource.get("file_search", {}).get("vector_store_ids", [])]
    own = own_store_id(run.assistant_id)
    stored = files_of_stores(call, [one for one in stores if one != own])
    files = {file_id: call.store.files.get(call.partition, file_id) for file_id in [*attached, *run.file_ids]}
    return {**{file_id: file.filename if file else None for file_id, file in files.items()}, **stored}


def files_of_stores(call: ApiCall, store_ids: Iterable[str]) -> dict[str, str | None]:
    """Return the files that stand for vector stores, by id and with their names."""
    found = [call.store.files.get(call.partition, _file_of_store(call, one)) for one in store_ids]
    return {file.id: file.filename for file in found if file}


def store_made_files(call: ApiCall, script: Script) -> None:
    """Store the files that a script makes, as soon as its run starts."""
    for made in script.made_files:
        _store_file(call, made.file_id, made.filename, "assistants_output", made.content)


def read_files(call: ApiCall, file_ids: Iterable[str]) -> tuple[ReadFile, ...]:
    """Return the beginnings of uploaded files, each once. A file that does not exist is left out."""
    found = [call.store.files.get(call.partition, file_id) for file_id in dict.fromkeys(file_ids)]
    return tuple(ReadFile(file.filename, file.size, _beginning(call, file)) for file in found if file)


def _beginning(call: ApiCall, file: UploadedFile) -> bytes:
    content = b""
    while len(content) < min(file.size, _MAX_READ_BYTES):
        content += call.store.file_pieces.read_piece(call.partition, file.id, len(content))
    return content


def _file_of_store(call: ApiCall, store_id: str) -> str:
    """Return the id of the file that stands for a vector store."""
    file_id = id_from_name("file", store_id)
    if call.store.files.get(call.partition, file_id) is None:
        _store_file(call, file_id, file_name_from_id(file_id), "assistants", f"What {store_id} holds.\n".encode())
    return file_id


def _store_file(call: ApiCall, file_id: str, filename: str, purpose: str, content: bytes) -> None:
    file = UploadedFile(id=file_id, created_at=call.whole_second, filename=filename, purpose=purpose, size=len(content))
    call.store.store_file(call.partition, file, content)
