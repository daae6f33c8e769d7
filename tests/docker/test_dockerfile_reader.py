"""Tests of the Dockerfile reader that `test_image.py` uses."""

from pathlib import Path

import pytest

from tests.support.dockerfile import Build, Stage, exec_form, read_instructions


def test_lines_are_joined_flags_are_read_and_comments_are_dropped() -> None:
    copy, check = read_instructions(
        """
# a comment
COPY --from=wheel --chown=1:1 /wheels/ /build/
HEALTHCHECK --interval=10s \\
    # another one
    CMD ["python", "-c", "x"]
"""
    )
    assert (copy.word, dict(copy.flags), copy.rest) == ("COPY", {"from": "wheel", "chown": "1:1"}, "/wheels/ /build/")
    assert dict(check.flags) == {"interval": "10s"}
    assert exec_form(check) == ["python", "-c", "x"]


def test_the_last_matching_pattern_decides_about_the_context(tmp_path: Path) -> None:
    for name in ("a/b.py", "a/__pycache__/b.pyc", "a/c/__pycache__/d.pyc", "a/.assets-1/e", "other/f", "g.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignore = ["*", "!a", "!g.txt", "**/__pycache__", "a/.assets-*"]
    assert Build(tmp_path, ignore, tmp_path).context_files() == [Path("a/b.py"), Path("g.txt")]


def test_only_the_images_own_paths_are_moved_below_its_root(tmp_path: Path) -> None:
    build, stage = Build(tmp_path, [], tmp_path), Stage("one", tmp_path / "root")
    own = f"{stage.root}/wheels/x {stage.root}/opt/y"
    assert build.located(stage, "/wheels/x /opt/y") == own
    assert build.located(stage, "open('/wheels/x'); a/wheels") == f"open('{stage.root}/wheels/x'); a/wheels"
    with pytest.raises(AssertionError, match="expected paths below"):
        build.located(stage, "rm -r /etc")
