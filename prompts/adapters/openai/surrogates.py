"""Characters that a server has cut in two: half a surrogate pair in one chunk, the other half in the next.

A tokenizer may split an emoji; servers that write `\\ud83d` in one chunk's JSON and `\\ude00` in the next do as well.
"""


class Halves:
    """Joins the pieces of one text; a piece may end in half a character."""

    def __init__(self) -> None:
        self.held = ""
        """A half whose other half has not come."""

    def join(self, text: str) -> str:
        """The text after the held half, without the half at its end. A half without its other half becomes U+FFFD."""
        if text.isascii() and not self.held:
            return text
        text = self.held + text
        self.held = ""
        try:
            text.encode()
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                text, self.held = text[:-1], text[-1]
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def end(self) -> str:
        """U+FFFD for a half that is still held; else nothing."""
        held, self.held = self.held, ""
        return "\ufffd" if held else ""
