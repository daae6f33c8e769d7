"""The common part of the commands that can break off and be run again: their faults, exit status and output."""

from __future__ import annotations

import sys
from collections.abc import Awaitable

from gateway.config import BadSettingsError

BROKE_OFF = 1
"""Exit status of a command that did a part of its work, and can be run again."""


async def run_resumable(work: Awaitable[int]) -> int:
    """Await the work of a command.

    Returns:
        The exit status: that of the work, or `BROKE_OFF` if the database or an upstream failed.

    Raises:
        BadSettingsError: The database or the file of ids cannot be used.
    """
    from gateway.ledger.import_file import ImportFileError  # noqa: PLC0415 - slow, as in `cli`
    from gateway.ledger.ledger_store import CannotOpenError, LedgerUnavailableError  # noqa: PLC0415 - as above
    from schema.contract.errors import GatewayError  # noqa: PLC0415 - as above

    try:
        return await work
    except CannotOpenError as error:
        raise BadSettingsError([f"GATEWAY_DATABASE_URL: the database cannot be used: {error}"]) from None
    except ImportFileError as error:
        raise BadSettingsError([str(error)]) from None
    except LedgerUnavailableError as error:
        return report_break(f"the database does not answer: {error}")
    except GatewayError as error:
        return report_break(error.message)


def report_break(reason: str) -> int:
    """Say that the command broke off, and return its exit status."""
    sys.stderr.write(f"threads-gateway: broke off: {reason}; run the same command again to go on\n")
    return BROKE_OFF


def print_line(text: str) -> None:
    """Print a text at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
