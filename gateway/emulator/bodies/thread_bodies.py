"""Request bodies of the operations on threads and messages."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from gateway.emulator.bodies.fields import (
    MAX_CONTENT,
    STRING_OR_ARRAY,
    Body,
    CodeTool,
    FileSearchTool,
    MetadataField,
    ToolResources,
    type_tag,
)
from gateway.emulator.objects import (
    Attachment,
    ContentPart,
    ImageFilePart,
    ImageUrlPart,
    Role,
    TextPart,
)

# From the documentation of version 1. No refusal was ever recorded, so its words are assumed.
MAX_INITIAL_MESSAGES = 32
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_CONTENT)]
Detail: TypeAlias = Literal["auto", "low", "high"]


class TextInput(Body):
    """A text part."""

    type: Literal["text"]
    text: Text

    def to_stored(self) -> ContentPart:
        """Return the part in its stored form."""
        return TextPart(value=self.text)


class ImageFile(Body):
    """An uploaded image."""

    file_id: str
    detail: Detail = "auto"


class ImageFileInput(Body):
    """An image part that names a file."""

    type: Literal["image_file"]
    image_file: ImageFile

    def to_stored(self) -> ContentPart:
        """Return the part in its stored form."""
        return ImageFilePart(file_id=self.image_file.file_id, detail=self.image_file.detail)


class ImageUrl(Body):
    """An image at an external URL."""

    url: str
    detail: Detail = "auto"


class ImageUrlInput(Body):
    """An image part that names a URL."""

    type: Literal["image_url"]
    image_url: ImageUrl

    def to_stored(self) -> ContentPart:
        """Return the part in its stored form."""
        return ImageUrlPart(url=self.image_url.url, detail=self.image_url.detail)


PartInput: TypeAlias = Annotated[
    Annotated[TextInput, Tag("<text>")]
    | Annotated[ImageFileInput, Tag("<image_file>")]
    | Annotated[ImageUrlInput, Tag("<image_url>")],
    Discriminator(type_tag),
]
ContentInput: TypeAlias = Annotated[
    Annotated[Text, Tag("<string>")] | Annotated[tuple[PartInput, ...], Field(min_length=1), Tag("<array>")],
    STRING_OR_ARRAY,
]
AttachmentTool: TypeAlias = Annotated[
    Annotated[CodeTool, Tag("<code_interpreter>")] | Annotated[FileSearchTool, Tag("<file_search>")],
    Discriminator(type_tag),
]


class AttachmentInput(Body):
    """A file attached to a message."""

    file_id: str
    tools: tuple[AttachmentTool, ...] = ()


class MessageV1(Body):
    """A message in version 1."""

    role: Role
    content: Text
    file_ids: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    metadata: MetadataField = Field(default_factory=dict)

    def content_parts(self) -> tuple[ContentPart, ...]:
        """Return the content in its stored form."""
        return (TextPart(value=self.content),)

    def stored_attachments(self) -> tuple[Attachment, ...]:
        """Return the files as attachments that every tool may read (assumed)."""
        return tuple(Attachment(file_id, ("code_interpreter", "file_search")) for file_id in self.file_ids)


class MessageV2(Body):
    """A message in version 2."""

    role: Role
    content: ContentInput
    attachments: tuple[AttachmentInput, ...] | None = None
    metadata: MetadataField = Field(default_factory=dict)

    def content_parts(self) -> tuple[ContentPart, ...]:
        """Return the content in its stored form."""
        if isinstance(self.content, str):
            return (TextPart(value=self.content),)
        return tuple(part.to_stored() for part in self.content)

    def stored_attachments(self) -> tuple[Attachment, ...]:
        """Return the attachments in their stored form."""
        return tuple(Attachment(one.file_id, tuple(tool.type for tool in one.tools)) for one in self.attachments or ())


MessageInput: TypeAlias = MessageV1 | MessageV2


class ThreadV1(Body):
    """A thread in version 1."""

    messages: Annotated[tuple[MessageV1, ...], Field(max_length=MAX_INITIAL_MESSAGES)] = ()
    metadata: MetadataField = Field(default_factory=dict)

    @property
    def tool_resources(self) -> ToolResources | None:
        """Return None, since tool resources came with version 2."""
        return None


class ThreadV2(Body):
    """A thread in version 2."""

    messages: Annotated[tuple[MessageV2, ...], Field(max_length=MAX_INITIAL_MESSAGES)] = ()
    tool_resources: ToolResources | None = None
    metadata: MetadataField = Field(default_factory=dict)


ThreadInput: TypeAlias = ThreadV1 | ThreadV2


class ModifyThreadV2(Body):
    """Changes of a thread in version 2. A missing field stays as it is."""

    tool_resources: ToolResources | None = None
    metadata: MetadataField | None = None


class ModifyMetadata(Body):
    """Changes of an object that can change only its metadata. A missing field stays as it is."""

    metadata: MetadataField | None = None
