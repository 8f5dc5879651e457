"""The text of documents. Each is read by a process of its own, which may fail, hang or crash alone."""
