"""The dev overlay as it is: its pods, from its rendered manifests, and a turn through its Service.

The service, its init container, its migration and the stand-in run from their images. Valkey, PostgreSQL and Weaviate
are this machine's programs with the manifests' arguments and variables, so that no registry is needed.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from launcher.valkey import get_valkey_server
from tests.manifests.sources import Object, find_object, get_pod
from tests.manifests.validation import read_rendered, render_overlay
from tests.support.image import HOW_TO_GET_THEM, build_image, find_missing_tools
from tests.support.missing import give_up
from tests.support.pods import NativeServer, Network, PodContainer, open_network, run_to_completion
from tests.support.postgres import compose_postgres_program, open_data_directory

# Two images are built, and Weaviate needs some seconds to elect itself.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ASK = """
import sys
from openai import OpenAI
from tests.support.missing import give_up
client = OpenAI(base_url="http://eps/v1", api_key=sys.argv[1])
conversation = client.conversations.create()
for text in ("My name is Ada.", "What is my name?"):
    with client.responses.stream(model="stand-in", input=text, conversation=conversation.id) as stream:
        print(stream.get_final_response().output_text)
"""


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """What `kubectl apply -k k8s/overlays/dev` sends."""
    return read_rendered(render_overlay("dev"))


@pytest.fixture(scope="module")
def network(
    objects: list[Object], weaviate_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    """The Services' network, with Valkey, PostgreSQL and Weaviate in it. Without the tools CI fails and others skip."""
    if missing := find_missing_tools():
        give_up(f"there is no {', '.join(missing)}: {HOW_TO_GET_THEM}")
    with ExitStack() as stack:
        opened = stack.enter_context(open_network(f"eps-test-{os.getpid()}", objects))
        for name, program in (
            ("eps-valkey", ["env", f"PATH={get_valkey_server().parent}"]),
            ("eps-postgres", compose_postgres_program()),
            ("eps-weaviate", [str(weaviate_binary)]),
        ):
            data = stack.enter_context(open_data_directory())
            pod = get_pod(find_object(objects, "StatefulSet", name))
            places = {"/data": str(data), "/data/postgres": str(data)}
            stack.enter_context(NativeServer(tmp_path_factory.mktemp(name), program, opened, pod, places))
        yield opened


def test_its_pods_start_and_a_turn_through_the_service_is_answered(
    objects: list[Object], network: Network, tmp_path: Path, servers: ExitStack
) -> None:
    image, standin = build_image("service"), build_image("standin")
    standin_pod = get_pod(find_object(objects, "Deployment", "eps-standin"))
    servers.enter_context(PodContainer(tmp_path / "standin", standin, network, standin_pod))

    migration = get_pod(find_object(objects, "Job"))
    [migrate] = migration["containers"]
    for expected in ("Applying prompts.", "No migrations to apply"):
        assert expected in run_to_completion(image, network, migration, migrate, tmp_path / "migration")

    pod = get_pod(find_object(objects, "Deployment", "eps"))
    [verify] = pod["initContainers"]
    table = run_to_completion(image, network, pod, verify, tmp_path / "verify")
    assert re.findall(r"^(\w+) .* ok$", table, re.MULTILINE) == ["redis", "weaviate", "cache", "database", "model"]

    server = servers.enter_context(PodContainer(tmp_path / "server", image, network, pod))
    key = server.execute("python", "manage.py", "create_api_key", "me").split()[-1]
    assert network.run(sys.executable, "-c", ASK, key).splitlines()[-1] == "Your name is Ada."

    [container] = pod["containers"]
    [port] = [port["containerPort"] for port in container["ports"] if port["name"] == "metrics"]
    scrape = f"import urllib.request as http; print(http.urlopen('http://127.0.0.1:{port}/metrics').read().decode())"
    assert 'eps_turns_total{code="none",status="completed"} 2.0' in network.run("python3", "-c", scrape)

    server.execute(*container["lifecycle"]["preStop"]["exec"]["command"])
    server.terminate()
    assert server.wait(within_s=pod["terminationGracePeriodSeconds"]) == 0
    assert "Traceback" not in server.log
