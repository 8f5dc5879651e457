"""Files as OpenAI's protocols carry them: a name and a `data:` URI; neither Chat Completions nor Responses guesses."""

from mimetypes import MimeTypes

_UNKNOWN_MEDIA_TYPE = "application/octet-stream"
# Made once, here: it reads the machine's own tables.
_MEDIA_TYPES = MimeTypes()


def as_data_uri(data: str, filename: str) -> str:
    """The data as it came; OpenAI's models want to know the type of bare base64."""
    if data.startswith("data:"):
        return data
    media_type, _ = _MEDIA_TYPES.guess_type(filename)
    return f"data:{media_type or _UNKNOWN_MEDIA_TYPE};base64,{data}"
