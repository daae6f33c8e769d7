"""Runs the attack corpus against a real gateway, one attack after the other, each on a fresh process.

    python -m tests.attacks [--only NAME] [--seconds 1.5] [--json]
    python -m tests.attacks --soak MINUTES [--only NAME]

Beside each attack, a victim sends a trivial query all the time over a connection of its own. `--only` takes a part of
the name of an attack or of a group. `--soak` runs everything at once beside a normal load. Linux only: memory and
processor time are read from /proc.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from gateway.server.sockets.connection_limits import raise_file_limit
from tests.attacks import soak
from tests.attacks.arena import Row, arena, running_emulator_process, seed
from tests.attacks.attack import Attack
from tests.attacks.documents import DOCUMENTS
from tests.attacks.upstreams import (
    CREDENTIALS,
    HANGING,
    STORMS,
    CredentialAttack,
    FaultyUpstream,
    HangingAttack,
    StormAttack,
)
from tests.attacks.variables import VARIABLES
from tests.attacks.wires import HTTP, UNREAD, WEBSOCKETS

GROUPS: Mapping[str, Sequence[Attack]] = {
    "documents": DOCUMENTS,
    "variables": VARIABLES,
    "http": HTTP,
    "websockets": WEBSOCKETS,
    "unread": UNREAD,
    "storms": STORMS,
    "hanging": HANGING,
    "credentials": CREDENTIALS,
}
OVER_FAULTY_UPSTREAM = (StormAttack, HangingAttack, CredentialAttack)
HEADER = (
    "| attack | times | KB in | KB out | processor s | victim p99 ms | max ms | failed | MB before | peak | after "
    "| log lines | errors, notes |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def chosen(only: str | None) -> list[Attack]:
    """Return the attacks of a group, those whose names have a part, or all."""
    if only is not None and only in GROUPS:
        return list(GROUPS[only])
    return [attack for attacks in GROUPS.values() for attack in attacks if only is None or only in attack.name]


def over_faulty_upstream(attack: Attack) -> bool:
    return isinstance(attack, OVER_FAULTY_UPSTREAM)


def render(row: Row) -> str:
    notes = "; ".join(filter(None, [", ".join(row.codes), row.note, "traceback!" * bool(row.tracebacks)]))
    return (
        f"| {row.name} | {row.rounds} | {row.bytes_in / 1000:.0f} | {row.bytes_out / 1000:.0f} "
        f"| {row.processor_seconds:.2f} | {row.victim_p99_ms:.0f} | {row.victim_max_ms:.0f} | {row.victim_failures} "
        f"| {row.mb_before:.0f} | {row.mb_peak:.0f} | {row.mb_after:.0f} | {row.log_lines} | {notes} |"
    )


async def run(attacks: Sequence[Attack], seconds: float, *, as_json: bool) -> None:
    faulty = FaultyUpstream()
    for kind in OVER_FAULTY_UPSTREAM:
        kind.upstream = faulty
    with tempfile.TemporaryDirectory() as directory, running_emulator_process() as emulator_url:
        thread_id = await seed(emulator_url)
        async with faulty.listening():
            for attack in attacks:
                faulty.fault = None
                upstream_url = faulty.url if over_faulty_upstream(attack) else emulator_url
                async with arena(upstream_url, thread_id, Path(directory) / "log") as place:
                    row = await place.measure(attack, seconds)
                sys.stdout.write((json.dumps(asdict(row)) if as_json else render(row)) + "\n")
                sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    arguments = parser.parse_args()
    raise_file_limit()
    if not arguments.json:
        sys.stdout.write(f"load average at the start: {os.getloadavg()[0]:.1f}\n\n")
    if arguments.soak:
        attacks = [attack for attack in chosen(arguments.only) if not over_faulty_upstream(attack)]
        asyncio.run(soak.run(attacks, arguments.soak))
        return
    if not arguments.json:
        sys.stdout.write(HEADER + "\n")
    asyncio.run(run(chosen(arguments.only), arguments.seconds, as_json=arguments.json))


if __name__ == "__main__":
    main()
