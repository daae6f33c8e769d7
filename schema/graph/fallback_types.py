"""Fallback members: parts of a kind that this gateway does not know yet, with their JSON."""

from __future__ import annotations

import strawberry

from schema.graph.documented_field import plain_field
from schema.graph.scalars import JSON

UNKNOWN_KIND = "The upstream's name of the kind. Empty if it sends none."
UNKNOWN_RAW = "The part as the upstream sent it."


@strawberry.type(description="An annotation of a kind that this gateway does not know yet.")
class UnknownAnnotation:
    """Fallback of `Annotation`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


@strawberry.type(description="A content part of a kind that this gateway does not know yet.")
class UnknownContent:
    """Fallback of `MessageContent`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


@strawberry.type(description="A tool of a kind that this gateway does not know yet.")
class UnknownTool:
    """Fallback of `Tool`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


@strawberry.type(description="An output of a kind that this gateway does not know yet.")
class UnknownCodeInterpreterOutput:
    """Fallback of `CodeInterpreterOutput`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


@strawberry.type(description="An action of a kind that this gateway does not know yet.")
class UnknownRequiredAction:
    """Fallback of `RequiredAction`."""

    type: str = plain_field(UNKNOWN_KIND)
    raw: JSON = plain_field(UNKNOWN_RAW)


@strawberry.type(description="Resources for a kind of tools that this gateway does not know yet.")
class UnknownToolResource:
    """Fallback of `ToolResources`, such as `azure_ai_search` and `mcp` of Azure AI Foundry."""

    type: str = plain_field("The upstream's name of the kind.")
    raw: JSON = plain_field("The resources as the upstream sent them.")


@strawberry.type(description="A source of an attachment that is no uploaded file.")
class UnknownAttachmentSource:
    """Fallback of `Attachment`, such as `data_source` of Azure AI Foundry."""

    type: str = plain_field("The upstream's name of the kind. Empty if it sends none.")
    raw: JSON = plain_field("The source as the upstream sent it.")
