"""The operations on files. They need no `OpenAI-Beta` header, and are the same in both versions.

The content of every file can be read. OpenAI's own service keeps that of `UPLOAD_ONLY_PURPOSES` to itself, as this one
does with the fault `upload-only`.
"""

from dataclasses import dataclass

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import malformed_form, missing_parameter, no_such_file, unsupported_value
from gateway.emulator.bodies.list_query import parse_list_query, slice_ids
from gateway.emulator.objects import JsonObject, UploadedFile
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import checked_cursors

# Source: https://platform.openai.com/docs/api-reference/files/list
MAX_FILES_PAGE = 10_000
# Source: https://platform.openai.com/docs/api-reference/files/create
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
# Source: https://community.openai.com/t/1357013
UPLOAD_ONLY_PURPOSES = frozenset({"assistants", "user_data", "fine-tune", "evals"})


@dataclass(frozen=True, slots=True)
class FileContent:
    """A reply that is the content of a file, read from the store piece by piece."""

    file: UploadedFile


def list_files(call: ApiCall) -> JsonObject:
    """Return a page of the files, or of those with one purpose."""
    query = parse_list_query(call.query, default=MAX_FILES_PAGE, maximum=MAX_FILES_PAGE)
    purpose = call.query.get("purpose")
    files = {
        file.id: file
        for file in call.store.files.list_all(call.partition, None)
        if purpose is None or file.purpose == purpose
    }
    ids = list(files)
    page, has_more = slice_ids(ids, checked_cursors(query, ids, "file"))
    return reply_objects.render_page([reply_objects.render_file(files[one]) for one in page], has_more=has_more)


def create_file(call: ApiCall) -> JsonObject:
    """Store an uploaded file."""
    if call.form is None:
        raise malformed_form()
    purpose, upload = call.form.get("purpose"), call.form.get("file")
    if upload is None:
        raise missing_parameter("file")
    if purpose is None:
        raise missing_parameter("purpose")
    name = purpose.to_text()
    if name not in PURPOSES:
        raise unsupported_value("purpose", name[:200], PURPOSES)
    # Foundry's client may send the name as a field of its own.
    named = call.form.get("filename")
    file = UploadedFile(
        id=call.store.new_id("file"),
        created_at=call.whole_second,
        filename=upload.filename or (named.to_text() if named else "") or "file",
        purpose=name,
        size=upload.size,
    )
    call.store.store_file(call.partition, file, upload.content)
    return reply_objects.render_file(file)


def get_file(call: ApiCall) -> JsonObject:
    """Return a file without its content."""
    return reply_objects.render_file(_found_file(call))


def get_file_content(call: ApiCall) -> FileContent:
    """Return the content of a file."""
    return FileContent(_found_file(call))


def delete_file(call: ApiCall) -> JsonObject:
    """Delete a file. Objects that name it stay as they are (assumed)."""
    file = _found_file(call)
    call.store.files.delete(call.partition, file.id)
    return {"object": "file", "deleted": True, "id": file.id}


def _found_file(call: ApiCall) -> UploadedFile:
    file = call.store.files.get(call.partition, call.path["file_id"])
    if file is None:
        raise no_such_file(call.path["file_id"])
    return file
