"""Reads a Dockerfile and carries it out without an engine: a directory stands for `/`, and stages run one by one.

Only RUN instructions download anything. An environment of this Python with pip replaces the base image. Users, ports
and layers need an engine; a test reads them from the result.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HELD_PATHS = ("/src", "/wheels", "/build", "/opt", "/data")
"""The absolute paths that the image may use. All others are refused."""

_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/{}-])(/[\w.-]+)")
RUN_SECONDS = 110


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, its flags as `--from=wheel`, and the rest of the line."""

    word: str
    flags: Mapping[str, str]
    rest: str


@dataclass
class Stage:
    """One stage after its last instruction."""

    name: str
    root: Path
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)


def read_instructions(text: str) -> list[Instruction]:
    """Read all instructions. Joins continued lines and drops comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [_instruction(line) for line in joined]


def _instruction(line: str) -> Instruction:
    word, _, rest = line.partition(" ")
    flags = {}
    while found := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    return Instruction(word, flags, rest.strip())


@dataclass
class Build:
    """Carries out a Dockerfile below `place`, with the files of `context` that `.dockerignore` keeps."""

    context: Path
    ignore: list[str]
    place: Path
    stages: dict[str, Stage] = field(default_factory=dict)

    def run(self, instructions: list[Instruction]) -> Stage:
        """Carry out all stages and return the last one, whose files are in `place / "root"`.

        Those of the others are beside it.
        """
        stage: Stage | None = None
        for instruction in instructions:
            if instruction.word == "FROM":
                if stage is not None:
                    # Frees the root for the next stage, since `/` is the same path in every stage.
                    stage.root = stage.root.rename(self.place / stage.name)
                stage = self._from(instruction)
            elif stage is not None:
                self._step(stage, instruction)
        assert stage is not None, "expected a FROM"
        return stage

    def _from(self, instruction: Instruction) -> Stage:
        base, _, name = instruction.rest.partition(" AS ")
        root = self.place / "root"
        root.mkdir()
        assert base == "${PYTHON_IMAGE}", f"expected every stage to begin with the same image, got {base}"
        stage = Stage(name or "last", root)
        shutil.copytree(self._base(), root / "usr" / "local", symlinks=True, copy_function=os.link)
        stage.environment["PATH"] = f"{root}/usr/local/bin:/usr/bin:/bin"
        self.stages[stage.name] = stage
        return stage

    def _base(self) -> Path:
        """Create an environment of this Python with pip, once. Every stage gets links to its files."""
        base = self.place / "base"
        if not base.exists():
            venv.create(base, with_pip=True)
        return base

    def _step(self, stage: Stage, instruction: Instruction) -> None:
        match instruction.word:
            case "ENV":
                for pair in shlex.split(instruction.rest):
                    name, _, value = pair.partition("=")
                    value = value.replace("$PATH", stage.environment["PATH"])
                    stage.environment[name] = self.located(stage, value) if name == "PATH" else value
            case "WORKDIR":
                stage.directory = instruction.rest
                self.path(stage, instruction.rest).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(stage, instruction)
            case "RUN":
                # pip downloads each file only once; it still checks the hashes.
                command = self.located(stage, instruction.rest).replace(" --no-cache-dir", "")
                run_in(stage, ["/bin/sh", "-ec", command], self.path(stage, stage.directory))
            case "USER" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                pass  # an engine does this when it starts a container
            case unknown:
                raise AssertionError(f"expected an instruction that is known here, got {unknown}")

    def path(self, stage: Stage, path: str) -> Path:
        """Return the path on this machine for a path of the image."""
        return stage.root / str(Path(stage.directory, path)).lstrip("/")

    def located(self, stage: Stage, text: str) -> str:
        """Return the text with the image's paths replaced by paths below its root."""
        unknown = set(_ABSOLUTE_PATH.findall(text.replace(str(self.place), ""))) - {*HELD_PATHS}
        assert unknown <= {"/usr", "/bin", "/root"}, f"expected paths below {HELD_PATHS}, got {unknown}"
        held = "|".join(HELD_PATHS)
        return re.sub(rf"(?<![\w.:/-])(?={held})|(?<=:)(?={held})", str(stage.root), text)

    def _copy(self, stage: Stage, instruction: Instruction) -> None:
        *sources, target = instruction.rest.split()
        held = self.path(stage, target)
        for source in sources:
            if "from" in instruction.flags:
                root = self.stages[instruction.flags["from"]].root
                shutil.copytree(root / source.lstrip("/"), held, symlinks=True, dirs_exist_ok=True)
            else:
                self._copy_from_context(source, held, into=target.endswith("/"))

    def _copy_from_context(self, source: str, held: Path, *, into: bool) -> None:
        files = [path for path in self.context_files() if path == Path(source) or Path(source) in path.parents]
        assert files, f"expected the context to hold {source}"
        for path in files:
            inner = path.relative_to(source) if (self.context / source).is_dir() else Path(path.name if into else "")
            (held / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.context / path, held / inner)

    def context_files(self) -> list[Path]:
        """List the files that an engine would receive.

        The last pattern of `.dockerignore` that matches a file decides.
        """
        kept = {pattern[1:].split("/")[0] for pattern in self.ignore if pattern.startswith("!")}
        found = (Path(directory, name) for top in kept for directory, name in _files(self.context / top))
        return sorted(path.relative_to(self.context) for path in found if self._is_kept(path.relative_to(self.context)))

    def _is_kept(self, path: Path) -> bool:
        kept = True
        for pattern in self.ignore:
            if _matches(path, pattern.removeprefix("!")):
                kept = pattern.startswith("!")
        return kept


def _files(top: Path) -> list[tuple[str, str]]:
    if top.is_file():
        return [(str(top.parent), top.name)]
    return [(directory, name) for directory, _, names in os.walk(top) for name in names]


def _matches(path: Path, pattern: str) -> bool:
    """Tell whether a pattern matches a path or its directory. `**/` stands for any number of directories."""
    parts = path.parts
    return any(
        fnmatch.fnmatch("/".join(parts[:length]), pattern)
        or (pattern.startswith("**/") and fnmatch.fnmatch(parts[length - 1], pattern[3:]))
        for length in range(1, len(parts) + 1)
        if pattern.count("/") == length - 1 or pattern.startswith("**/")
    )


def run_in(stage: Stage, command: list[str], directory: Path, **variables: str) -> str:
    """Run a command with the stage's environment and little else. Returns its output."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=stage_environment(stage, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def stage_environment(stage: Stage, **variables: str) -> dict[str, str]:
    """Return the variables of the stage, and those that this machine needs to reach its registries."""
    machine_variables = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "npm_config_", "SSL_"))
    }
    cache = str(Path("~/.cache/pip").expanduser())
    return {"PIP_CACHE_DIR": cache, **machine_variables, "HOME": str(stage.root), **stage.environment, **variables}


def exec_form(instruction: Instruction) -> list[str]:
    """Return the words of an instruction in JSON form, such as ENTRYPOINT. For a HEALTHCHECK, the words after CMD."""
    words = json.loads(instruction.rest.removeprefix("CMD").strip())
    assert isinstance(words, list), f"expected the exec form, got {instruction.rest}"
    return [str(word) for word in words]
