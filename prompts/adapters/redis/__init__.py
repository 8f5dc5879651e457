"""Redis: stores, event log, API keys, messages between processes; every change of several keys is one script in lua/."""
