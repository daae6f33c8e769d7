"""The commands of the command line and their arguments. Each setting that is no secret is a flag."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from gateway import cli_copy, cli_ledger, cli_sign_in, config, setting_docs

EXIT_REFUSED = 2
"""Exit status of a command that refuses to start."""

COMMANDS = {
    "demo": "run the gateway over the bundled emulator with demo data: no key, no network",
    "serve": "run the gateway over the Threads API at UPSTREAM_URL",
    "emulator": "run the bundled emulator of the Threads API alone",
    "schema": "print the GraphQL schema in SDL",
    "token": "print a token for trying sign-in out, as for demo --sign-in",
    "copy": "copy threads from the upstream at UPSTREAM_URL to the one at TARGET_URL",
    "ledger": "adopt threads that exist, or forget a person",
}


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(print_faults([f"{message} (see {self.prog} --help)"]))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(
        prog="threads-gateway",
        description="A GraphQL gateway over the Threads REST API.",
        epilog=_settings_epilog(config.Settings.model_fields),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for command, summary in COMMANDS.items():
        if command == "ledger":
            ledger_parser = _add_parser(commands, command, summary)
            parts = ledger_parser.add_subparsers(
                dest="ledger_command", required=True, metavar="COMMAND", parser_class=_Parser
            )
            cli_ledger.add_ledger_arguments(
                {
                    name: _add_settings(_add_parser(parts, name, text), f"ledger {name}")
                    for name, text in cli_ledger.COMMANDS.items()
                }
            )
            continue
        command_parser = _add_settings(_add_parser(commands, command, summary), command)
        if command == "demo":
            cli_sign_in.add_demo_arguments(command_parser)
        elif command == "copy":
            cli_copy.add_copy_arguments(command_parser)
        elif command == "token":
            cli_sign_in.add_token_arguments(command_parser)
    return parser


def _add_parser(commands: argparse._SubParsersAction[_Parser], command: str, summary: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        command, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )


def _add_settings(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """Add the flags of a command's settings to its parser."""
    names = config.COMMAND_SETTINGS[command]
    parser.epilog = _settings_epilog(names)
    documented = {setting.name: setting for setting in setting_docs.documented_settings()}
    for name in names:
        setting = documented[name]
        if setting.flag is None:
            continue
        default = f", default {setting.default}" if setting.default else ""
        help_text = f"{setting.description} [{setting.variable}{default}]".replace("%", "%%")
        flags = [setting.flag]
        if command == "emulator" and name.startswith("emulator_"):
            flags.insert(0, setting.flag.replace("--emulator-", "--"))
        parser.add_argument(*flags, dest=name, metavar="VALUE", help=help_text)
    return parser


def _settings_epilog(names: Iterable[str]) -> str:
    """Write the end of a help text: the sources of these settings, and the secrets among them."""
    name_set = set(names)
    secrets = [
        f"{setting.variable}: {setting.description}"
        for setting in setting_docs.documented_settings()
        if setting.name in name_set and config.is_secret(setting.name)
    ]
    flags = "Every flag has an environment variable, shown in brackets; the flag wins."
    return " ".join([flags, "Secrets have a variable only.", *secrets] if secrets else [flags])


def print_faults(faults: Sequence[str]) -> int:
    """Print a line for each fault. Returns the exit status of a command that refuses to start."""
    for fault in faults:
        sys.stderr.write(f"threads-gateway: {fault}\n")
    return EXIT_REFUSED


def _version() -> str:
    try:
        return version("threads-gateway")
    except PackageNotFoundError:
        return "(not installed)"
