"""Traces by OpenTelemetry. Imported only by a process that traces."""
