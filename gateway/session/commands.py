"""What `Gateway.*` commands do in a session. The relay recognises them; `relay/commands.py` knows their shapes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime

from browser_pool.tasks import Start
from gateway import __version__
from gateway.errors import GatewayError
from gateway.records import Limits
from gateway.relay.browser_leg import BrowserLeg
from gateway.relay.client_leg import ClientLeg
from gateway.relay.commands import REFUSED, Answerable, CloseBrowser, Info, Reconnect, Snapshot, answer, refuse
from gateway.relay.overrides import Override
from gateway.session.files import places_of
from gateway.session.life import Role
from gateway.session.seat import Seat
from gateway.session.session import Session

SLOW_LIMIT = 4  # snapshots of one client that may wait for each other


class SessionCommands:
    """One client's commands, carried out on its session. `start` begins what takes its time.

    `reconnect_url` makes the URL that the client is handed.
    """

    def __init__(
        self, session: Session, seat: Seat, limits: Limits, reconnect_url: Callable[[], str], start: Start
    ) -> None:
        # A driver's contexts shall outlive its connection; a debugging client's end with it, as it expects.
        self.pulse = session.pulse
        self.rewrites = seat.role is Role.DRIVER
        self.places = None if session.browser is None else places_of(session.browser.directory)
        self._session = session
        self._seat = seat
        self._limits = limits
        self._reconnect_url = reconnect_url
        self._start = start
        self._snapshots = 0  # under way
        self._turn = asyncio.Lock()
        # What a debugging client sets ends with it, too.
        self._driving = session.holder.turn() if session.holder is not None and seat.role is Role.DRIVER else None

    def perform(self, command: Answerable, client: ClientLeg) -> None:
        """Answer at once, or begin what takes its time."""
        match command:
            case Reconnect():
                self._reconnect(command, client)
            case Info():
                client.reply(answer(command, self._info()))
            case CloseBrowser():
                client.reply(answer(command, {}))
                self._session.close_browser(self._seat.id)
            case Snapshot():
                if self._snapshots < SLOW_LIMIT:
                    self._snapshots += 1
                    self._start(self._snapshot(command, client), "snapshot")
                else:
                    client.reply(refuse(command, REFUSED, "earlier snapshots are still being saved"))

    def note(self, override: Override, client: ClientLeg) -> bool:
        """Remember what the driver sets; True if it must wait for what is held."""
        if override.method.startswith("Browser."):  # permissions
            self._session.decided(override, self._seat.role)
        return self._driving is not None and self._driving.note(override, client)

    def let_go(self, client: ClientLeg) -> bool:
        """Whether workers may not have taken the session's identity yet."""
        if (keeper := self._session.keeper) is None:
            return False

        async def wait() -> None:
            await keeper.workers_taken()
            client.go_on()

        self._start(wait(), "workers")
        return True

    @asynccontextmanager
    async def parting(self, browser: BrowserLeg) -> AsyncIterator[None]:
        """Hold what the driver has set."""
        async with self._driving.parting(browser) if self._driving is not None else nullcontext():
            yield
        await self._session.parted()

    async def _snapshot(self, command: Snapshot, client: ClientLeg) -> None:
        """Save one after the other; a client that has gone meanwhile gets its snapshot and no answer."""
        try:
            async with self._turn:
                info = await self._session.snapshot("asked for")
        except GatewayError as error:
            client.reply(refuse(command, REFUSED, error.message))
        else:
            client.reply(answer(command, {"version": info.version, "createdAt": info.created_at}))
        finally:
            self._snapshots -= 1

    def _reconnect(self, command: Reconnect, client: ClientLeg) -> None:
        if self._seat.role is not Role.DRIVER:
            client.reply(refuse(command, REFUSED, "a debugging client cannot keep the browser: only its driver can"))
            return
        wanted = self._limits.reconnect if command.timeout_ms is None else command.timeout_ms / 1000
        granted = self._session.linger(self._seat.id, min(wanted, self._limits.reconnect_max), command.auth)
        result: dict[str, object] = {
            "browserWSEndpoint": self._reconnect_url(),
            "timeout": int(granted * 1000),
            "expiresAt": instant(time.time() + granted),
        }
        client.reply(answer(command, result))
        if command.detach:
            client.say_goodbye()

    def _info(self) -> dict[str, object]:
        record, browser = self._session.record, self._session.browser
        return {
            "sessionId": record.id,
            "status": record.status.value,
            "kind": record.spec.kind.value,
            "expiresAt": instant(record.expires_at),
            "ttl": max(0, int((record.expires_at - time.time()) * 1000)),
            "processKeepAlive": int(record.spec.keep * 1000),
            "gateway": __version__,
            "browser": browser.version["product"] if browser is not None else None,
        }


def instant(seconds: float) -> str:
    """ISO 8601 UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
