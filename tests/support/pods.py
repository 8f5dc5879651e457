"""Pods without a cluster: what a manifest says about a container, as podman runs it, in a network of its own.

A network namespace stands for the cluster's network: each Service is a host name with an address on its loopback, whose
port leads to the container's as kube-proxy would have it. Values come from the rendered ConfigMaps and Secrets.
"""

import base64
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.manifests.sources import Object, find_object
from tests.support.image import LIMITS, Container, Image, podman
from tests.support.processes import ServerProcess

MAX_PROBE_S = 15
NAMESPACES = Path("/etc/netns")


@dataclass(frozen=True)
class Network:
    """A network namespace whose hosts file knows the Services among the rendered objects."""

    name: str
    objects: list[Object]
    addresses: Mapping[str, str]

    def command(self, *command: str) -> list[str]:
        """A command line that runs inside, with the namespace's hosts file."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, **environment: str) -> str:
        """What a command prints inside. Raises CalledProcessError."""
        return subprocess.run(
            self.command(*command),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=MAX_PROBE_S,
            check=True,
        ).stdout


@contextmanager
def open_network(name: str, objects: list[Object]) -> Iterator[Network]:
    """A namespace with an address for each Service; gone at the end, with everything that ran in it. Needs root."""
    services = [one for one in objects if one["kind"] == "Service"]
    addresses = {one["metadata"]["name"]: f"127.0.1.{number}" for number, one in enumerate(services, 1)}
    hosts = NAMESPACES / name / "hosts"
    hosts.parent.mkdir(parents=True)
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {host}\n" for host, ip in addresses.items()), "utf-8")
    _system("ip", "netns", "add", name)
    try:
        network = Network(name, objects, addresses)
        _system(*network.command("ip", "link", "set", "lo", "up"))
        for service in services:
            for port in service["spec"]["ports"]:
                _forward(network, service, port)
        yield network
    finally:
        _system("ip", "netns", "delete", name)
        hosts.unlink()
        hosts.parent.rmdir()


class PodContainer(Container):
    """A container of a rendered pod, as its manifest describes it."""

    def __init__(self, directory: Path, image: Image, network: Network, pod: Object) -> None:
        """The pod's first container; its volumes are made in `directory`."""
        super().__init__(directory)
        self.image = image
        self._network = network
        self._container = pod["containers"][0]
        self._options = compose_options(network, pod, self._container, directory)

    @override
    def get_options(self) -> list[str]:
        return self._options

    @override
    def get_arguments(self) -> list[str]:
        return _get_command(self._container)

    @override
    def is_ready(self) -> bool:
        """Whether every probe succeeds."""
        return all(self.probe(name) for name in ("startupProbe", "livenessProbe", "readinessProbe"))

    def probe(self, name: str) -> bool:
        """One probe, as the kubelet would ask it; one that the manifest does not have succeeds."""
        asked = self._container.get(name)
        if asked is None:
            return True
        ports = {port["name"]: port["containerPort"] for port in self._container["ports"]}
        if "httpGet" in asked:
            url = f"http://127.0.0.1:{ports[asked['httpGet']['port']]}{asked['httpGet']['path']}"
            code = f"import urllib.request as http; http.urlopen({url!r}, timeout={asked['timeoutSeconds']})"
        else:
            code = f"import socket; socket.create_connection(('127.0.0.1', {ports[asked['tcpSocket']['port']]}), 1)"
        probing = self._network.command("python3", "-c", code)
        return subprocess.run(probing, capture_output=True, timeout=MAX_PROBE_S, check=False).returncode == 0


def run_to_completion(image: Image, network: Network, pod: Object, container: Object, directory: Path) -> str:
    """What a container prints that is expected to succeed: a Job's, or an init container. Raises `ImageError`."""
    options = compose_options(network, pod, container, directory)
    return podman("run", "--rm", *LIMITS, *options, image.name, *_get_command(container))


class NativeServer(ServerProcess):
    """A server of others with a manifest's arguments and variables, from this machine's program instead of an image.

    `places` are paths of the container and where they are here.
    """

    def __init__(
        self, directory: Path, program: list[str], network: Network, pod: Object, places: dict[str, str]
    ) -> None:
        super().__init__(directory)
        self._program = program
        self._network = network
        [self._container] = pod["containers"]
        self._places = places

    @override
    def get_command(self) -> list[str]:
        arguments = [self._translate(argument) for argument in self._container.get("args", [])]
        return self._network.command(*self._program, *arguments)

    @override
    def get_environment(self) -> Mapping[str, str]:
        return {one["name"]: self._translate(one["value"]) for one in self._container.get("env", [])}

    @override
    def is_ready(self) -> bool:
        ports = [port["containerPort"] for port in self._container["ports"]]
        code = f"import socket; [socket.create_connection(('127.0.0.1', port), 1) for port in {ports}]"
        probing = self._network.command("python3", "-c", code)
        return subprocess.run(probing, capture_output=True, timeout=MAX_PROBE_S, check=False).returncode == 0

    def _translate(self, value: str) -> str:
        return self._places.get(value, value)


def compose_options(network: Network, pod: Object, container: Object, directory: Path) -> list[str]:
    """Options of `podman run` for a container of a rendered pod."""
    context: dict[str, Any] = {**pod["securityContext"], **container["securityContext"]}
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    variables = dict(_list_variables(network.objects, container))
    return [
        f"--network=ns:/run/netns/{network.name}",
        *(f"--add-host={host}:{address}" for host, address in network.addresses.items()),
        f"--user={context['runAsUser']}:{context['runAsGroup']}",
        *("--read-only", "--read-only-tmpfs=false", "--security-opt=no-new-privileges"),
        *(f"--cap-drop={capability}" for capability in context["capabilities"]["drop"]),
        f"--memory={_in_podmans_units(container['resources']['limits']['memory'])}",
        *(f"--env={name}={value}" for name, value in variables.items()),
        *_list_mounts(network.objects, pod, container, directory),
    ]


def _list_variables(objects: list[Object], container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom", []):
        yield from find_object(objects, "ConfigMap", source["configMapRef"]["name"])["data"].items()
    for variable in container.get("env", []):
        yield variable["name"], variable["value"]


def _list_mounts(objects: list[Object], pod: Object, container: Object, directory: Path) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        volume = volumes[mount["name"]]
        if "secret" in volume:
            files = _write_secret(objects, volume["secret"], pod["securityContext"]["fsGroup"], directory)
            yield f"--volume={files}:{mount['mountPath']}:ro"
        else:
            yield f"--tmpfs={mount['mountPath']}:size={_in_podmans_units(volume['emptyDir']['sizeLimit'])}"


def _write_secret(objects: list[Object], volume: Object, group: int, directory: Path) -> Path:
    """A Secret's keys as files of root and the pod's group, with the mode of the volume."""
    files = directory / str(volume["secretName"])
    files.mkdir(parents=True, exist_ok=True)
    for key, encoded in find_object(objects, "Secret", volume["secretName"])["data"].items():
        path = files / key
        path.write_bytes(base64.b64decode(encoded))
        os.chown(path, 0, group)
        path.chmod(volume["defaultMode"])
    return files


def _forward(network: Network, service: Object, port: Object) -> None:
    """Lead a Service's port to its container's."""
    target = _find_container_port(service, port["targetPort"], network.objects)
    if target != port["port"]:
        address = network.addresses[service["metadata"]["name"]]
        rule = ("-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", address, "--dport", str(port["port"]))
        _system(*network.command("iptables", *rule, "-j", "REDIRECT", "--to-ports", str(target)))


def _find_container_port(service: Object, name: str, objects: list[Object]) -> int:
    """The number of a named port in the pods that the Service selects."""
    selector = service["spec"]["selector"].items()
    templates = [one["spec"]["template"] for one in objects if one["kind"] in ("Deployment", "StatefulSet")]
    [number] = [
        port["containerPort"]
        for template in templates
        if selector <= template["metadata"]["labels"].items()
        for port in template["spec"]["containers"][0]["ports"]
        if port["name"] == name
    ]
    return int(number)


def _get_command(container: Object) -> list[str]:
    return [*container.get("command", []), *container.get("args", [])]


def _in_podmans_units(quantity: str) -> str:
    return re.sub("i$", "", quantity).lower()


def _system(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=MAX_PROBE_S)
