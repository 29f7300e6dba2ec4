"""The site of this directory's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.identity.places import Places, places


@pytest.fixture
async def site() -> AsyncIterator[Places]:
    async with places() as site:
        yield site
