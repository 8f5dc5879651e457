"""The configuration that points the Codex CLI to this service, and how it is added to a file that has more in it.

The words are those of Codex's `config.toml`: https://developers.openai.com/codex/config-reference
"""

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

PROVIDER = "eps"
# The variable that Codex reads the key from: so no file holds it.
KEY_VARIABLE = "EPS_API_KEY"
_KEY_FIELDS = ("env_key", "experimental_bearer_token")


class CannotConfigureError(Exception):
    """The file cannot be changed without losing what somebody else wrote. Says what to do."""


def compose_settings(
    base_url: str, model: str | None, *, key_variable: str = KEY_VARIABLE, key: str | None = None
) -> dict[str, Any]:
    """The settings as Codex reads them. With `key` they hold the key itself, else the name of a variable.

    Without a model Codex asks for its own default.
    """
    base_url = base_url.rstrip("/")
    provider = {
        "name": "Enhanced Prompt Service",
        "base_url": base_url,
        **({"env_key": key_variable} if key is None else {"experimental_bearer_token": key}),
        "wire_api": "responses",
        "model_catalog_url": f"{base_url}/models",
        "supports_websockets": False,
    }
    chosen = {"model": model} if model else {}
    return {**chosen, "model_provider": PROVIDER, "model_providers": {PROVIDER: provider}}


def compose_arguments(settings: Mapping[str, Any]) -> list[str]:
    """The same as arguments of `codex`, which then needs no file."""
    provider = tomlkit.inline_table()
    provider.update(settings["model_providers"][PROVIDER])
    texts = {name: value for name, value in settings.items() if isinstance(value, str)}
    given = {**texts, f"model_providers.{PROVIDER}": provider}
    return [part for name, value in given.items() for part in ("-c", f"{name}={tomlkit.item(value).as_string()}")]


def add_settings(text: str, settings: Mapping[str, Any]) -> str:
    """A `config.toml` with the settings in it; all else, comments too, stays as it was.

    Raises `CannotConfigureError` for a file that is not TOML, or that chooses another provider or model already.
    """
    document = _parse(text)
    _check_is_free(document)
    document.update({name: value for name, value in settings.items() if name != "model_providers"})
    providers = document.setdefault("model_providers", tomlkit.table(is_super_table=True))
    ours = providers.setdefault(PROVIDER, tomlkit.table())
    for field in _KEY_FIELDS:
        ours.pop(field, None)
    ours.update(settings["model_providers"][PROVIDER])
    return tomlkit.dumps(document)


def _parse(text: str) -> TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:
        raise CannotConfigureError(f"it is not TOML: {exc}") from exc


def _check_is_free(document: TOMLDocument) -> None:
    """A file that already chooses us may be written again: with a new address, key or model."""
    if document.get("model_provider") == PROVIDER:
        return
    taken = [name for name in ("model", "model_provider") if name in document]
    if PROVIDER in document.get("model_providers", {}):
        taken.append(f"model_providers.{PROVIDER}")
    if taken:
        raise CannotConfigureError(
            f"it already has {', '.join(taken)}. Remove that from it first, or name another file with --path."
        )
