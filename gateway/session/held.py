"""What a session does with its browser while it has one: holds it between clients, parks it, saves it now and then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from browser_pool.browser import Browser
from browser_pool.devtools import DevToolsError, DevToolsGone
from browser_pool.spec import Mode
from browser_pool.tasks import running
from gateway.errors import Code, GatewayError
from gateway.identity.keeper import Keeper
from gateway.records import SessionSpec
from gateway.relay import overrides
from gateway.relay.overrides import Override
from gateway.relay.park import Dialogs, Holder, holding
from gateway.session.incarnation import Incarnation
from gateway.session.life import Role
from gateway.session.parking import Parking
from gateway.snapshot.capture import capture
from gateway.snapshot.checkpoint import Checkpointer, checkpointing
from gateway.snapshot.document import ContextDocument, Permission
from gateway.snapshot.periodic import Checkpoints
from gateway.snapshot.restore import grant

Save = Callable[[ContextDocument], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Held:
    """A browser with all that is done to it while clients come and go; `checkpointer` None: it is not saved.

    `granted` are the permissions that were restored, and that no driver has decided otherwise since; `shown` is set
    when the pages that were restored are there.
    """

    browser: Browser
    holder: Holder
    parking: Parking
    checkpointer: Checkpointer | None
    granted: list[Permission]
    shown: asyncio.Event
    keeper: Keeper | None

    def decided(self, override: Override, role: Role) -> None:
        """A client sets a permission. What the driver decides is not restored any more; others' ends with them."""
        if role is Role.DRIVER:
            self.granted[:] = undecided(self.granted, override)
        if self.checkpointer is not None:
            self.checkpointer.stirred()

    async def parted(self) -> None:
        """A client's connection is gone, and with it all permissions, if it had set some: ours are set again."""
        if not self.browser.gone.is_set():
            await grant(self.browser.devtools, self.granted)

    async def context(self) -> ContextDocument:
        """Its context as it is now; the browser goes on. Raises GatewayError."""
        browser = self.browser
        await self.shown.wait()
        try:
            known = None if self.checkpointer is None else await self.checkpointer.current()
            if known is not None:
                return known
            return await capture(browser.devtools, profile=browser.directory.profile, visited=browser.visited)
        except (DevToolsError, DevToolsGone) as error:
            raise GatewayError(Code.SAVE_FAILED, f"the context could not be captured: {error}") from error


def undecided(granted: Iterable[Permission], override: Override) -> list[Permission]:
    """Those of `granted` that a driver's command says nothing of. Other contexts' are not ours to know."""
    params = override.params
    if params.get("browserContextId") is not None:
        return list(granted)
    match override.method:
        case overrides.RESET_PERMISSIONS:
            return []
        case overrides.GRANT:  # rejects what it does not grant
            of = params.get("origin")
            return [one for one in granted if of is not None and one.origin != _origin(of)]
        case overrides.SET_PERMISSION:
            of, name = params.get("origin"), params.get("permission", {}).get("name")
            return [one for one in granted if one.name != name or (of is not None and one.origin != _origin(of))]
    return list(granted)


def _origin(url: object) -> str:
    """As Chromium writes it; a driver may give any URL of it."""
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc}"


@asynccontextmanager
async def held(made: Incarnation, spec: SessionSpec, save: Save) -> AsyncIterator[Held]:
    """For this block. `save` is given the context every `spec.checkpoint` seconds at most, where it has changed."""
    browser, known = made.browser, made.known
    async with AsyncExitStack() as stack:
        holder = await stack.enter_async_context(holding(browser, dialogs=Dialogs(spec.dialogs)))
        checkpointer, checkpoints = None, None
        if spec.checkpoint is not None:
            # A driver of a headless shell would see the hidden page in which origins that were left are read.
            checkpointer = await stack.enter_async_context(
                checkpointing(
                    browser.devtools,
                    profile=browser.directory.profile,
                    visited=browser.visited,
                    unopened=browser.mode is not Mode.SHELL,
                    known=known,
                )
            )
            checkpoints = Checkpoints(
                checkpointer, save, devtools=browser.devtools, interval=spec.checkpoint, log=structlog.get_logger()
            )
            await stack.enter_async_context(running(_saving(checkpoints, made.shown), "checkpoints"))
        parking = Parking(browser, checkpoints)
        yield Held(browser, holder, parking, checkpointer, list(known.permissions), made.shown, made.keeper)


async def _saving(checkpoints: Checkpoints, shown: asyncio.Event) -> None:
    await shown.wait()  # before, a tab is not what it will be
    await checkpoints.run()
