"""Redis: stores, event log, API keys, messages between processes; each change of several keys is a script in lua/."""
