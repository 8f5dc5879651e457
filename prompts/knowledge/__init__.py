"""Pure: how a document becomes passages, and which of them fit a filter."""
