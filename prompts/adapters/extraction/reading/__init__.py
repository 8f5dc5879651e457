"""What runs in the process that reads one document: it knows no Django, no settings, no Redis."""
