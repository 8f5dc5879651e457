"""A silent model does not cost the client its connection: something comes, whatever the model does."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.oracle import KEEPALIVE, check_events, read_frames
from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.turns import Stream, open_client, split_frames

# In the service 15 s.
KEEP_ALIVE_S = 1
# The lease is renewed three times in this time.
LEASE_S = 1
# Longer than two signs of life take.
SILENT_S = 4
COMMENT = b": keep-alive"
SIGN = b"\n\n".join((COMMENT, KEEPALIVE, b""))


@pytest.fixture(scope="module")
def lively(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that renews its leases, and its readers' connections, often."""
    own = {"LEASE_S": str(LEASE_S), "KEEP_ALIVE_S": str(KEEP_ALIVE_S)}
    patient = {"MODEL_FIRST_TOKEN_S": "30", "MODEL_SILENCE_S": "30"}
    with Replica(tmp_path_factory.mktemp("lively"), {**service.environment, **own, **patient}) as replica:
        yield replica


@pytest.fixture(scope="module")
def beside(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that does not write the answer."""
    own = {"KEEP_ALIVE_S": str(KEEP_ALIVE_S)}
    with Replica(tmp_path_factory.mktemp("beside"), {**service.environment, **own}) as replica:
        yield replica


@pytest.fixture
async def client(http: httpx.AsyncClient, lively: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the replica that writes."""
    async with open_client(http, lively) as client:
        yield client


@pytest.fixture
async def stranger(http: httpx.AsyncClient, beside: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the other one."""
    async with open_client(http, beside) as client:
        yield client


@pytest.mark.parametrize(
    "directive",
    [
        pytest.param(f"headers_s={SILENT_S}", id="before its headers", marks=pytest.mark.long),
        pytest.param(f"first_token_s={SILENT_S}", id="before its first word"),
        pytest.param(f"token_s={SILENT_S}", id="between two words"),
    ],
)
async def test_a_silent_model_costs_nobody_the_connection(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, directive: str
) -> None:
    creator = Stream.of_turn(client, f"repeat: one two [[standin {directive}]]")
    response_id = await creator.get_id()
    readers = [
        Stream.of_response(client, response_id),
        Stream.of_response(stranger, response_id),
        Stream.of_response(stranger, response_id, after=1),
    ]
    for reader in (creator, *readers):
        await reader.see(SIGN.decode(), times=2, within_s=SILENT_S + 2)
    final = await creator.read_final()
    assert final["status"] == "completed"
    for reader in readers:
        whole = await reader.read()
        assert whole.count(COMMENT) == whole.count(KEEPALIVE) == whole.count(SIGN)
        assert split_frames(whole) == split_frames(creator.raw)[-len(split_frames(whole)) :]
    replay = await Stream.of_response(stranger, response_id).read()
    assert KEEPALIVE not in replay
    assert replay == b"".join(split_frames(creator.raw))


async def test_the_sequence_does_not_count_what_keeps_it_alive(client: httpx.AsyncClient) -> None:
    creator = Stream.of_turn(client, "repeat: one two three [[standin token_s=1.5]]")
    raw = await creator.read()
    middle = raw.index(KEEPALIVE, raw.index(b"response.output_text.delta"))
    assert raw.index(b"response.completed") > middle
    events = read_frames(raw)
    assert check_events(events)["status"] == "completed"
