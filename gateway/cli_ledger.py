"""The part of the command line that works on the ledger: `threads-gateway ledger import` and `ledger forget`."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli_resumable import print_line, report_break, run_resumable
from gateway.config import BadSettingsError, Settings, describe_fault
from gateway.identity.principal import Owner
from gateway.progress_line import ProgressLine

if TYPE_CHECKING:
    from gateway.ledger.ledger_store import Adoption, LedgerStore, ObjectKind
    from gateway.upstream.upstream_port import UpstreamPort

COMMANDS = {
    "import": "adopt threads that exist: those of a file, or with --owner all that the upstream lists",
    "forget": "delete all that is kept of a person: files and threads at the upstream, owners, caches",
}


class RedisUnavailableError(Exception):
    """Redis does not answer. The message is the kind of the error, since its text may hold the password."""


def add_ledger_arguments(parsers: dict[str, argparse.ArgumentParser]) -> None:
    """Add the arguments of both commands."""
    importing, forgetting = parsers["import"], parsers["forget"]
    importing.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a line for each thread or file: id,subject[,tenant[,issuer]] or JSON",
    )
    importing.add_argument(
        "--owner",
        default="",
        metavar="SUBJECT",
        help="the owner of the threads whose line has none; without FILE, of all",
    )
    importing.add_argument(
        "--kind", choices=["thread", "file"], default="thread", help="the objects whose ids FILE has, by default thread"
    )
    importing.add_argument("--reassign", action="store_true", help="change the owners of threads that have another one")
    importing.add_argument(
        "--from-viewer",
        metavar="ID",
        help="the viewer.id under a key that was changed, whose records go to --to-viewer; in place of FILE",
    )
    importing.add_argument("--to-viewer", metavar="ID", help="the viewer.id under the new key")
    forgetting.add_argument("--subject", required=True, metavar="NAME", help="the person (`sub`)")
    for parser in parsers.values():
        parser.add_argument("--issuer", metavar="URL", help="the issuer (`iss`), by default GATEWAY_JWT_ISSUER")
        parser.add_argument("--tenant", metavar="NAME", help="the person's tenant, by default none")


async def run_ledger_command(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run a command.

    Returns:
        The exit status.

    Raises:
        BadSettingsError: A setting or an argument is missing or cannot be used.
    """
    work = _import if arguments.ledger_command == "import" else _forget
    if arguments.ledger_command == "import" and (arguments.from_viewer or arguments.to_viewer):
        work = _move_viewer
    try:
        return await run_resumable(work(arguments, settings))
    except RedisUnavailableError as error:
        return report_break(f"Redis does not answer: {error}")


async def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.ledger.adoption import Adopter  # noqa: PLC0415 - slow, as in `cli`
    from gateway.ledger.import_file import count_ids, read_import_file  # noqa: PLC0415 - as above
    from gateway.ledger.ledger_store import ObjectKind  # noqa: PLC0415 - as above

    owner = Owner(arguments.issuer or settings.gateway_jwt_issuer or "", arguments.owner, arguments.tenant or "")
    path: Path | None = arguments.file
    needs_tenant = arguments.tenant is None and settings.gateway_jwt_tenant_claim is not None
    total = None
    if path is not None:
        # A malformed line fails before the first change.
        total = count_ids(path, owner, needs_tenant=needs_tenant)
    elif arguments.kind != "thread":
        raise BadSettingsError(["FILE: expected a file of ids for --kind file, got none"])
    elif not owner.subject:
        raise BadSettingsError(["expected FILE or --owner, got neither"])
    else:
        _check_tenant(arguments, settings)
        _check_owner(owner)
        _check_dialect(settings)
    async with _ledger_store(settings) as store:
        kind = ObjectKind(arguments.kind)
        progress = ProgressLine(f"{kind}s looked at", total)
        adopter = Adopter(
            store, kind=kind, reassign=arguments.reassign, unix_seconds=time.time, on_progress=progress.show
        )
        try:
            if path is not None:
                await adopter.adopt_all(read_import_file(path, owner, needs_tenant=needs_tenant))
            else:
                async with _upstream_port(settings, store) as port:
                    await adopter.adopt_listed(port, owner)
        finally:
            progress.end()
            print_line(_describe_adoption(kind, adopter.outcome, adopter.too_new_count))
    return 0


async def _move_viewer(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.ledger.record_moving import ViewerIdError, move_all_records, viewer_from_id  # noqa: PLC0415 - as above

    if not (arguments.from_viewer and arguments.to_viewer) or arguments.file or arguments.owner or arguments.reassign:
        raise BadSettingsError(
            ["--from-viewer, --to-viewer: expected both, without FILE, --owner and --reassign, got something else"]
        )
    try:
        source, target = viewer_from_id(arguments.from_viewer), viewer_from_id(arguments.to_viewer)
    except ViewerIdError as error:
        raise BadSettingsError([f"--from-viewer, --to-viewer: {error}"]) from None
    if source == target:
        raise BadSettingsError(["--from-viewer, --to-viewer: expected two viewers, got the same twice"])
    async with _ledger_store(settings) as store:
        progress = ProgressLine("records moved", None)
        try:
            moved = await move_all_records(store, source, target, progress.show)
        finally:
            progress.end()
    print_line(f"Records moved: {moved}.")
    return 0


async def _forget(arguments: argparse.Namespace, settings: Settings) -> int:
    from gateway.ledger.forgetting import Forgetter, delete_owned  # noqa: PLC0415 - as above
    from gateway.ledger.ledger_store import ObjectKind  # noqa: PLC0415 - as above

    _check_tenant(arguments, settings)
    owner = Owner(arguments.issuer or settings.gateway_jwt_issuer or "", arguments.subject, arguments.tenant or "")
    _check_owner(owner)
    async with _ledger_store(settings) as store, _upstream_port(settings, store) as port:
        progress = ProgressLine("files and threads deleted", await store.count_objects(owner))
        forgetter = Forgetter(
            store, functools.partial(delete_owned, port), unix_seconds=time.time, on_progress=progress.show
        )
        try:
            await forgetter.forget(owner)
        finally:
            progress.end()
            deleted = forgetter.deleted
            print_line(f"Files deleted: {deleted[ObjectKind.FILE]}. Threads deleted: {deleted[ObjectKind.THREAD]}.")
    removed = await _remove_from_redis(settings, owner)
    if removed is not None:
        print_line(f"Keys removed from Redis: {removed}.")
    if forgetter.failures:
        owned, error = next(iter(forgetter.failures.items()))
        count = len(forgetter.failures)
        return report_break(f"{count} files or threads stay, {owned.object_id} because of: {error.message}")
    return 0


async def _remove_from_redis(settings: Settings, owner: Owner) -> int | None:
    from gateway.compose_options import upstream_identity, upstream_options  # noqa: PLC0415 - as above
    from gateway.redis.client import RedisClient  # noqa: PLC0415 - as above
    from gateway.redis.scope_removal import remove_scopes  # noqa: PLC0415 - as above

    if settings.redis_url is None:
        return None
    client = RedisClient(settings.redis_url.get_secret_value(), cluster=settings.redis_cluster)
    try:
        return await remove_scopes(client, [owner.digest(upstream_identity(upstream_options(settings)))])
    except Exception as error:
        raise RedisUnavailableError(type(error).__name__) from None
    finally:
        await client.close()


@asynccontextmanager
async def _ledger_store(settings: Settings) -> AsyncIterator[LedgerStore]:
    from gateway.compose_options import upstream_identity, upstream_options  # noqa: PLC0415 - as above
    from gateway.ledger.open_store import open_store  # noqa: PLC0415 - as above

    if settings.gateway_database_url is None:
        raise BadSettingsError([describe_fault("gateway_database_url", None)])
    if settings.upstream_url is None:
        raise BadSettingsError([describe_fault("upstream_url", None)])
    url = settings.gateway_database_url.get_secret_value()
    store = await open_store(url, upstream_identity(upstream_options(settings)))
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def _upstream_port(settings: Settings, store: LedgerStore) -> AsyncIterator[UpstreamPort]:
    from gateway.compose_options import own_credential, upstream_options  # noqa: PLC0415 - as above
    from gateway.compose_upstream import make_upstream_client  # noqa: PLC0415 - as above
    from gateway.identity.key_file import KeyFileError  # noqa: PLC0415 - as above

    try:
        credential = own_credential(settings)()
    except KeyFileError as error:
        raise BadSettingsError([f"UPSTREAM_API_KEY_FILE: {error}"]) from None
    if credential is None:
        raise BadSettingsError([describe_fault("upstream_api_key", None)])
    async with make_upstream_client(settings, upstream_options(settings), store.kept) as client:
        yield client.bind(credential, is_own_key=True)


def _check_tenant(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.tenant is None and settings.gateway_jwt_tenant_claim is not None:
        raise BadSettingsError(
            ["--tenant: expected the person's tenant, since GATEWAY_JWT_TENANT_CLAIM is set, got none"]
        )


def _check_owner(owner: Owner) -> None:
    from gateway.identity.token_claims import BadClaimError, check_subject, check_user_text  # noqa: PLC0415 - as above

    try:
        check_subject(owner.subject, "a subject")
        check_user_text(owner.tenant, "a tenant")
    except BadClaimError as error:
        raise BadSettingsError([f"--owner, --subject or --tenant: {error}"]) from None
    if not owner.issuer:
        raise BadSettingsError(
            ["--issuer: expected the issuer of the person's tokens, or GATEWAY_JWT_ISSUER, got none"]
        )


def _check_dialect(settings: Settings) -> None:
    from gateway.upstream.dialects import DIALECTS  # noqa: PLC0415 - as above

    name = settings.upstream_dialect
    if not DIALECTS[name].lists_threads:
        able = " and ".join(name for name, dialect in DIALECTS.items() if dialect.lists_threads)
        raise BadSettingsError(
            [f"FILE: expected a file, since only {able} list threads, and UPSTREAM_DIALECT is {name}; got none"]
        )


def _describe_adoption(kind: ObjectKind, outcome: Adoption, too_new_count: int) -> str:
    lines = [f"{kind.capitalize()}s adopted: {outcome.adopted}."]
    if outcome.reassigned:
        lines.append(f"Among them, taken from another owner: {outcome.reassigned}.")
    if outcome.already_theirs:
        lines.append(f"Already theirs: {outcome.already_theirs}.")
    if outcome.anothers:
        lines.append(f"Left to another owner: {outcome.anothers} (--reassign changes them).")
    if outcome.forgotten:
        lines.append(f"Left alone, because their owner was forgotten: {outcome.forgotten}.")
    if too_new_count:
        lines.append(
            f"Left alone, because a gateway may be about to record their owner: {too_new_count}, less than 5 minutes "
            "old or without a time (run the same command again later)."
        )
    return " ".join(lines)
