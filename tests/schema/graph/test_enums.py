from enum import Enum

import pytest

from schema.graph.enums import (
    AttachmentTool,
    ImageDetail,
    MessageRole,
    MessageStatus,
    RunStatus,
    RunStepStatus,
    RunStepType,
    recognize,
    recognize_optional,
)

ENUMS = [AttachmentTool, ImageDetail, MessageRole, MessageStatus, RunStatus, RunStepStatus, RunStepType]


@pytest.mark.parametrize("kind", ENUMS)
def test_each_word_is_the_upstreams_name_of_its_member(kind: type[Enum]) -> None:
    for member in kind:
        if member.name != "UNRECOGNIZED":
            assert recognize(kind, member.name.lower()) is member


@pytest.mark.parametrize("kind", ENUMS)
@pytest.mark.parametrize("word", ["", "brand_new", "COMPLETED", "UNRECOGNIZED", "\x00"])
def test_an_unknown_word_is_unrecognized(kind: type[Enum], word: str) -> None:
    assert recognize(kind, word).name == "UNRECOGNIZED"


def test_a_missing_word_is_null() -> None:
    assert recognize_optional(MessageStatus, None) is None
    assert recognize_optional(MessageStatus, "completed") is MessageStatus.COMPLETED
