"""The part of the command line that copies threads to another upstream: `threads-gateway copy`."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli_resumable import print_line, report_break, run_resumable
from gateway.config import BadSettingsError, Settings, describe_fault
from gateway.identity.principal import Owner
from gateway.progress_line import ProgressLine

if TYPE_CHECKING:
    from gateway.copying.copy_ends import CopySource
    from gateway.copying.copy_outcome import CopyOutcome
    from gateway.copying.copy_preview import CopyPreview
    from gateway.copying.thread_copier import ThreadCopier
    from gateway.copying.upstream_ends import UpstreamEnd

MAX_SHOWN_FAILURES = 10

PAGE_SIZE = 500


def add_copy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a line for each thread to copy, with its id first, as for `ledger import`; by default all that the "
        "ledger knows, and all that the upstream lists",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would come along and what not; copy nothing")


async def run_copy_command(arguments: argparse.Namespace, settings: Settings) -> int:
    """Copy threads, or look at what would be copied.

    Returns:
        The exit status.

    Raises:
        BadSettingsError: A setting or an argument is missing or cannot be used.
    """
    return await run_resumable(_run(arguments, settings))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.copying.copy_ledger import CopyLedger  # noqa: PLC0415 - slow, as in `cli`
    from gateway.copying.copy_preview import CopyPreview  # noqa: PLC0415 - as above
    from gateway.copying.file_copier import FileCopier  # noqa: PLC0415 - as above
    from gateway.copying.thread_copier import ThreadCopier  # noqa: PLC0415 - as above
    from gateway.copying.upstream_ends import open_source, open_target  # noqa: PLC0415 - as above
    from gateway.ledger.import_file import count_ids  # noqa: PLC0415 - as above

    _check_settings(settings)
    total = None if arguments.file is None else count_ids(arguments.file, _nobody())
    async with AsyncExitStack() as stack:
        source_end = await _open_end(stack, settings, "upstream")
        target_end = await _open_end(stack, _target_settings(settings), "target")
        _check_ends(source_end, target_end)
        source = await stack.enter_async_context(open_source(source_end))
        target = await stack.enter_async_context(open_target(target_end))
        if total is None and not source_end.options.dialect.lists_threads:
            total = await source_end.store.copies.count_threads()
            if total == 0:
                raise BadSettingsError(
                    ["FILE: expected a file of ids, since the ledger knows no thread of UPSTREAM_URL, got none"]
                )
        is_same = source_end.identity.lasting == target_end.identity.lasting
        ledger = CopyLedger(source_end.ledger, target_end.ledger, target_end.options.dialect.family, is_same=is_same)
        thread_ids = _thread_ids(arguments.file, source_end, source)
        progress = ProgressLine("threads looked at", total)
        if arguments.dry_run:
            return await _preview(
                CopyPreview(source, target.rules, ledger, on_progress=progress.show), thread_ids, progress
            )
        files = FileCopier(source, target, ledger)
        return await _copy(ThreadCopier(source, target, ledger, files, on_progress=progress.show), thread_ids, progress)


async def _preview(preview: CopyPreview, thread_ids: AsyncIterator[str], progress: ProgressLine) -> int:
    try:
        await preview.look_at_all(thread_ids)
    finally:
        progress.end()
    outcome = preview.outcome
    print_line(
        f"Threads to copy: {outcome.copied}, with {outcome.messages} messages that name {len(preview.file_ids)} files. "
        f"Copied before: {outcome.present}. Not at the source: {outcome.missing}.{_describe_losses(outcome)}"
    )
    return 0


async def _copy(copier: ThreadCopier, thread_ids: AsyncIterator[str], progress: ProgressLine) -> int:
    outcome = copier.outcome
    try:
        await copier.copy_all(thread_ids)
    finally:
        progress.end()
        print_line(
            f"Threads copied: {outcome.copied}, with {outcome.messages} messages. Files copied: "
            f"{copier.files.copied_count}. Copied before: {outcome.present}. Not at the source: {outcome.missing}."
            f"{_describe_losses(outcome)}"
        )
    if outcome.failures:
        first = list(outcome.failures.items())[:MAX_SHOWN_FAILURES]
        shown = "; ".join(f"{old_id}: {error.message}" for old_id, error in first)
        return report_break(f"{len(outcome.failures)} threads could not be copied ({shown})")
    return 0


def _describe_losses(outcome: CopyOutcome) -> str:
    if not outcome.losses:
        return ""
    lines = [f"  {count:,} {loss}" for loss, count in outcome.losses.most_common()]
    return "\nWhat does not come along:\n" + "\n".join(lines)


async def _thread_ids(path: Path | None, end: UpstreamEnd, source: CopySource) -> AsyncIterator[str]:
    """List the threads to copy: those of the file, else all that the upstream lists, else all that the ledger knows."""
    from gateway.ledger.import_file import read_import_file  # noqa: PLC0415 - as above

    if path is not None:
        for thread_id, _ in read_import_file(path, _nobody()):
            yield thread_id
    elif end.options.dialect.lists_threads:
        async for thread_id in source.list_threads():
            yield thread_id
    else:
        after = ""
        while page := await end.store.copies.list_threads(PAGE_SIZE, after):
            for thread_id in page:
                yield thread_id
            after = page[-1]


def _check_settings(settings: Settings) -> None:
    for name in ("gateway_database_url", "upstream_url", "target_url"):
        if getattr(settings, name) is None:
            raise BadSettingsError([describe_fault(name, None)])
    if settings.target_dialect == "openai-v1":
        raise BadSettingsError(
            ["TARGET_DIALECT or --target-dialect: expected one that takes messages of assistants, got openai-v1"]
        )


def _target_settings(settings: Settings) -> Settings:
    """Return the settings with the target in the place of the upstream."""
    names = ("url", "dialect", "api_version", "api_key", "api_key_file", "organization", "project")
    return settings.model_copy(update={f"upstream_{name}": getattr(settings, f"target_{name}") for name in names})


async def _open_end(stack: AsyncExitStack, settings: Settings, group: str) -> UpstreamEnd:
    from gateway.compose_options import own_credential, upstream_identity, upstream_options  # noqa: PLC0415 - as above
    from gateway.copying.upstream_ends import UpstreamEnd  # noqa: PLC0415 - as above
    from gateway.identity.key_file import KeyFileError  # noqa: PLC0415 - as above
    from gateway.ledger.open_store import open_store  # noqa: PLC0415 - as above
    from gateway.ledger.record_store import KeptTexts  # noqa: PLC0415 - as above

    try:
        credential = own_credential(settings)()
    except KeyFileError as error:
        raise BadSettingsError([f"{group.upper()}_API_KEY_FILE: {error}"]) from None
    if credential is None:
        raise BadSettingsError([describe_fault(f"{group}_api_key", None)])
    options = upstream_options(settings)
    identity = upstream_identity(options)
    url = settings.gateway_database_url
    store = await open_store(
        "" if url is None else url.get_secret_value(), identity, kept_texts=KeptTexts(settings.gateway_ledger_text)
    )
    stack.push_async_callback(store.aclose)
    return UpstreamEnd(options, identity, credential, store)


def _check_ends(source: UpstreamEnd, target: UpstreamEnd) -> None:
    is_same = source.identity.lasting == target.identity.lasting and source.credential == target.credential
    if is_same and source.options.dialect.family == target.options.dialect.family:
        raise BadSettingsError(
            ["TARGET_URL: expected another upstream than UPSTREAM_URL, account or API, got the same"]
        )


def _nobody() -> Owner:
    """Return what stands for the owners of a file of ids, which are those of the ledger here."""
    return Owner("-", "-")
