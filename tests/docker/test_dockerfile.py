"""Tests that the Dockerfile follows the usual rules, and that it and its context name only what exists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker" / "Dockerfile").read_text()


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Return each instruction and the rest of its line. Drops comments and joins continued lines."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined) if word]


INSTRUCTIONS = read_instructions(TEXT)
STAGES = [rest for word, rest in INSTRUCTIONS if word == "FROM"]


def rests(word: str) -> list[str]:
    return [rest for found, rest in INSTRUCTIONS if found == word]


def exec_form(text: str) -> list[str]:
    words = json.loads(text[text.index("[") :])
    assert isinstance(words, list)
    return words


def test_each_stage_begins_with_the_same_image_of_a_version() -> None:
    assert {stage.partition(" ")[0] for stage in STAGES} == {"${PYTHON_IMAGE}"}
    (image,) = rests("ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:\d+\.\d+-slim-[a-z]+", image)


def test_the_program_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert "USER" not in [word for word, _ in INSTRUCTIONS[: INSTRUCTIONS.index(("FROM", STAGES[-1]))]]
    (user,) = rests("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert re.findall(r"--chown=(\S+)", TEXT) == [user]


def test_program_and_health_check_need_no_shell() -> None:
    assert [exec_form(text) for text in rests("ENTRYPOINT")] == [["threads-gateway"]]
    assert [exec_form(text) for text in rests("CMD")] == [["serve"]]
    (check,) = rests("HEALTHCHECK")
    assert exec_form(check[check.index("CMD") :])[:2] == ["python", "-c"]
    compile(exec_form(check[check.index("CMD") :])[2], "health check", "exec")
    assert rests("STOPSIGNAL") == ["SIGTERM"]


def test_installed_packages_have_their_hashes_and_leave_no_cache() -> None:
    installs = [rest for rest in rests("RUN") if re.search(r"pip .*\b(install|wheel) ", rest)]
    assert installs
    for command in installs:
        assert "--no-cache-dir" in command
        assert "--require-hashes" in command or "--no-deps" in command or "-c constraints.txt" in command
    assert any("--require-hashes" in command and "requirements.txt" in command for command in installs)


def test_only_files_of_the_context_are_copied_and_each_exists() -> None:
    assert rests("ADD") == []
    for path in copied_files():
        assert (ROOT / path).exists(), path
        assert any(path == kept or path.startswith(f"{kept}/") for kept in kept_in_context()), path
    assert all((ROOT / kept).exists() for kept in kept_in_context())
    assert set(re.findall(r"--from=(\w+)", TEXT)) <= {stage.rpartition(" AS ")[2] for stage in STAGES}


def copied_files() -> Iterator[str]:
    for rest in rests("COPY"):
        if "--from=" not in rest:
            *sources, _ = rest.split()
            yield from (source.rstrip("/") for source in sources)


def kept_in_context() -> list[str]:
    lines = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    return [pattern[1:] for pattern in patterns if pattern.startswith("!")]
