"""Profiles' records in Redis: `cdpg:profile:ID`."""

from gateway.errors import Code, GatewayError
from gateway.store import places
from gateway.store.codec import Codec
from gateway.store.connection import Connection
from gateway.store.filed import Filed, Put, Sheet
from gateway.store.profiles import Profile

MOST = 5000  # that `unused` gives; those that were used last come another time


class RedisProfiles:
    """The ProfileStore protocol."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        self._filed = Filed(connection, "profile")
        self._codec = codec

    async def add(self, profile: Profile) -> None:
        """See ProfileStore."""
        if not await self._filed.add(self._sheet(profile), places.numbered(profile.created_at)):
            words = f"profiles cannot be written: there is a profile {profile.id} already"
            raise GatewayError(Code.STORE_UNAVAILABLE, words)

    async def put(self, profile: Profile) -> bool:
        """See ProfileStore."""
        return await self._filed.put(self._sheet(profile)) is Put.DONE

    async def get(self, profile: str) -> Profile | None:
        """See ProfileStore."""
        text = await self._filed.get(profile)
        return None if text is None else self._codec.read_profile(text)

    async def listed(self, tenant: str) -> list[Profile]:
        """See ProfileStore."""
        texts = self._filed.every(places.profiles(tenant), highest=True)
        return [self._codec.read_profile(text) async for text in texts]

    async def unused(self, before: float) -> list[Profile]:
        """See ProfileStore."""
        texts = await self._filed.range(places.UNUSED, "-inf", f"({float(before)!r}", limit=MOST)
        return [self._codec.read_profile(text) for text in texts]

    async def drop(self, profile: str) -> bool:
        """See ProfileStore."""
        return await self._filed.drop(profile)

    def _sheet(self, profile: Profile) -> Sheet:
        line = places.line(profile.tenant, places.profile_places(profile))
        return Sheet(profile.id, line, self._codec.profile(profile))
