"""LiteLLM's proxy, which relays to a model and keeps nothing: in an environment of its own, because it pins much."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements-litellm.txt"
ENVIRONMENT = Path(".run").resolve() / "litellm-venv"
# A hundred packages over a slow network.
MAX_INSTALL_S = 600
KEY = "sk-benchmark"


class LiteLlmMissing(Exception):
    """LiteLLM could not be installed; the message says why."""


def install() -> Path:
    """The path of its command. It is installed once, and when its requirements change. Raises LiteLlmMissing."""
    command, stamp = ENVIRONMENT / "bin" / "litellm", ENVIRONMENT / ".installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return command
    print("Installing LiteLLM's proxy (once; about a minute) …", flush=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        _run(sys.executable, "-m", "venv", str(ENVIRONMENT))
        _run(*pip, "--require-hashes", "-r", str(REQUIREMENTS))
    except (OSError, subprocess.SubprocessError) as error:
        raise LiteLlmMissing(f"its installation failed ({type(error).__name__})") from error
    stamp.write_text(wanted)
    return command


def write_configuration(path: Path, model_url: str) -> Path:
    """One model, without anything that a relay does not need."""
    served = {"model": "openai/bench", "api_base": model_url, "api_key": "unused"}
    settings = {
        "model_list": [{"model_name": "bench", "litellm_params": served}],
        "litellm_settings": {"num_retries": 0, "request_timeout": 120, "telemetry": False, "set_verbose": False},
        "general_settings": {"master_key": KEY, "disable_spend_logs": True},
    }
    path.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
    return path


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=MAX_INSTALL_S)
