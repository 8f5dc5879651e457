"""What `make run` decides before it starts anything."""

import re
from pathlib import Path

import pytest

from launcher.child_environments import choose_for_any, choose_for_model, choose_for_service, find_setting_names
from launcher.data_dir import open_data_dir
from launcher.embedded_valkey import prepare_valkey
from launcher.errors import CannotRunError
from launcher.launch_plan import find_neighbour_database
from tests.support.processes import REPO_ROOT


def test_the_service_gets_every_setting_and_no_secret_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = set(
        re.findall(r"^\| `([A-Z0-9_]+)` \|", (REPO_ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    )
    assert set(find_setting_names()) == documented
    for name in ("SECRET_KEY_FILE", "MODEL_ALIASES", "OTEL_SERVICE_NAME", "https_proxy", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "here")
    given = choose_for_service()
    assert {"SECRET_KEY_FILE", "MODEL_ALIASES", "OTEL_SERVICE_NAME", "https_proxy", "PATH"} <= set(given)
    assert "AWS_SECRET_ACCESS_KEY" not in given


def test_servers_get_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "REDIS_URL", "STANDIN_DEFAULTS", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "here")
    assert not {"OPENAI_API_KEY", "REDIS_URL", "STANDIN_DEFAULTS", "AWS_SECRET_ACCESS_KEY"} & set(choose_for_any())
    assert set(choose_for_model()) - set(choose_for_any()) >= {"STANDIN_DEFAULTS"}
    assert "OPENAI_API_KEY" not in choose_for_model()


@pytest.mark.parametrize(
    ("url", "neighbour"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"),
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/1"),
        ("redis+sentinel://a:1,b:2/master", "redis+sentinel://a:1,b:2/master/1"),
        ("unix://:secret@/run/valkey.sock?db=3", "unix://:secret@/run/valkey.sock?db=4"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=1"),
    ],
)
def test_the_cache_is_the_next_database(url: str, neighbour: str) -> None:
    assert find_neighbour_database(url) == neighbour


def test_a_directory_that_was_open_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "valkey" / "appendonlydir").mkdir(parents=True)
    kept, deep, outside = data / "api_key", data / "valkey" / "appendonlydir" / "log", tmp_path / "outside"
    for path in (kept, deep, outside):
        path.write_text("kept")
        path.chmod(0o644)
    for path in (data, data / "valkey", data / "valkey" / "appendonlydir"):
        path.chmod(0o755)
    (data / "link").symlink_to(outside)
    (data / "valkey" / "link").symlink_to(tmp_path)
    opened = open_data_dir(data)
    opened.subdirectory("valkey")
    opened.lock.close()
    assert [path for path in (data, *data.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077] == []
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_directory_that_everybody_shares_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(CannotRunError, match="name a directory of your own"):
        open_data_dir(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_where_no_socket_can_be_made_valkey_listens_on_loopback_with_its_password(tmp_path: Path) -> None:
    data = open_data_dir(tmp_path / ("deep" * 30))
    valkey = prepare_valkey(data, password="secret", port=7777)
    data.lock.close()
    assert valkey.url == "redis://:secret@127.0.0.1:7777/0"
    assert "secret" not in " ".join(valkey.compose_command())
    written = (valkey.directory / "valkey.conf").read_text()
    assert 'requirepass "secret"\n' in written
    assert 'bind "127.0.0.1"\nport "7777"\n' in written


def test_a_path_with_odd_characters_is_one_path(tmp_path: Path) -> None:
    data = open_data_dir(tmp_path / 'a "b" c?#%')
    valkey = prepare_valkey(data, password="secret", port=7777)
    data.lock.close()
    assert valkey.url.startswith(f"unix://:secret@{tmp_path}/a%20%22b%22%20c%3F%23%25/valkey/")
    valkey.compose_command()
    configuration = valkey.directory / "valkey.conf"
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert f'unixsocket "{tmp_path}/a \\"b\\" c?#%/valkey/valkey.sock"\n' in configuration.read_text()
    assert list(valkey.directory.iterdir()) == [configuration]
