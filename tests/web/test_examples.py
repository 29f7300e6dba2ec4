"""Every example in the API's document is sent as it stands there, to a running gateway."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from gateway.web.dialects import Dialect
from gateway.web.openapi import with_url
from gateway.web.operation import Example, Operation
from gateway.web.operations import all_operations
from tests.documented import documented
from tests.journeys.running import Gateway, start
from tests.site.app import Site

EXAMPLES = [(operation, example) for operation in all_operations() for example in operation.examples]


def session_ids(told: Any) -> list[str]:
    """The sessions that a reply shows, by their ids."""
    if not isinstance(told, dict):
        return []
    found = [told["id"]] if isinstance(told.get("id"), str) else []
    return found + [one["id"] for one in told.get("sessions", ())]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Not the one that all share: named sessions, jobs and browsers of page services stay for a while."""
    with TemporaryDirectory(prefix="gw-") as directory:
        os.chmod(directory, 0o711)  # as root each browser has a user of its own, who must pass it
        running = start(Path(directory), tmp_path_factory.mktemp("examples"), {"adopt_timeout": "0"})
        yield running
        running.stop()
        assert running.nothing_left()


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> str:
    """One for all examples that want one; it has saved something."""

    async def made() -> str:
        number: str = (await gateway.create(ttl=3_600_000))["id"]
        (await gateway.request("POST", f"/session/{number}/snapshot")).ok(201)
        return number

    return asyncio.run(made())


@pytest.mark.parametrize(
    ("operation", "example"),
    EXAMPLES,
    ids=[f"{operation.name.replace(' ', '_')}-{example.name}" for operation, example in EXAMPLES],
)
async def test_an_example(gateway: Gateway, site: Site, session: str, operation: Operation, example: Example) -> None:
    method, _, path = operation.name.partition(" ")
    for name, value in {"{key}": session, "{id}": session, "{name}": "example"}.items():
        path = path.replace(name, value)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.token}"}) as client:
        body = with_url(example.body, f"{site.url}/")
        async with client.request(method, gateway.url + path, json=body) as answer:
            raw = await answer.read()
            told = json.loads(raw) if answer.content_type == "application/json" else None
            assert answer.status == example.status, told or raw[:300]
            documented().check(method, path, answer.status, answer.content_type, told)
        made = session_ids(told) if example.status == 201 else []
        for number in made:
            await gateway.request("DELETE", f"/session/{number}?force=true&purge=true")
        if method == "PUT" or path == "/identities":
            name = example.body.get("name", "example")
            await gateway.request("DELETE", f"/identities/{name}")


def test_there_are_some_of_every_dialect() -> None:
    assert {operation.dialect for operation, _ in EXAMPLES} == set(Dialect)
