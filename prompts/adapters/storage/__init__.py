"""The bytes of uploaded files, through Django's storage API."""
