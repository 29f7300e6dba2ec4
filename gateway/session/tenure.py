"""One browser of a session, from its launch to its certain end."""

import asyncio
from collections.abc import Callable

import structlog

from browser_pool.browser import Browser
from browser_pool.tasks import running
from gateway.errors import GatewayError
from gateway.session import life
from gateway.session.held import Held, held
from gateway.session.incarnation import Incarnation, adopted, incarnated
from gateway.session.ledger import Ledger
from gateway.session.life import Cause, Save
from gateway.session.means import Means
from gateway.session.saving import saved, snapshot
from gateway.snapshot.document import ContextDocument

REMEMBERED = 20  # domains, and refusals, of browsers that are gone


class Tenure:
    """A browser while a session has it: launched, or adopted from an earlier process of ours, held and saved.

    What happens to it is told to `post`; the last word is always one event. `cause` says why the session puts it away.
    """

    def __init__(
        self, ledger: Ledger, means: Means, post: Callable[[life.Event], None], cause: Callable[[], Cause], adopt: bool
    ) -> None:
        self.held: Held | None = None
        self.failure: GatewayError | None = None  # why it could not be launched, or saved
        self._ledger = ledger
        self._means = means
        self._post = post
        self._cause = cause
        self._source = adopted if adopt else incarnated
        self._launched = False
        self._release: asyncio.Future[Save] = asyncio.get_running_loop().create_future()
        self._log = structlog.get_logger().bind(session=ledger.record.id)

    def release(self, save: Save) -> bool:
        """Let it be put away; False if it is not there yet, so that its launch has to be given up."""
        if self._launched:
            self._release.set_result(save)
        return self._launched

    async def run(self) -> None:
        """All of it."""
        outcome: life.Event = life.BrowserReleased()
        ledger, means = self._ledger, self._means
        try:
            async with self._source(ledger.record, means) as made:
                browser = made.browser
                save, last = await self._tended(made)
                used = await means.used(browser)
                ledger.change(used=ledger.record.used.plus(used, most=REMEMBERED))
                if save is not Save.NOTHING:
                    info = await saved(ledger.record, browser, last, self._cause(), means)
                    ledger.saved(info)
                    if ledger.record.spec.persist_profile and means.kept is not None:
                        await means.kept(ledger.record, info)
        except GatewayError as error:
            self._log.warning("browser_not_kept" if self._launched else "browser_not_started", error=error.message)
            self.failure = error
            outcome = life.BrowserReleased(saved=False) if self._launched else life.BrowserFailed()
        finally:
            self.held, self._launched = None, False
            self._post(outcome)

    async def _tended(self, made: Incarnation) -> tuple[Save, ContextDocument | None]:
        """Hold, park and save the browser now and then, until it is to be released; its context then, if it tells."""
        browser, record = made.browser, self._ledger.record
        async with held(made, record.spec, self._checkpoint) as self.held:
            self._launched = True
            await browser.annotate({"incarnation": record.incarnation})
            self._post(life.BrowserReady())
            made.answered.set()
            async with running(self._tell_when_gone(browser), "browser-gone"):
                save = await self._release
            if save is not Save.CONTEXT:
                return save, None
            await self.held.parking.wake()
            try:
                return save, await self.held.context()
            except GatewayError as error:
                self._log.warning("context_not_captured", error=error.message)
                return save, None

    async def _checkpoint(self, document: ContextDocument) -> None:
        ledger = self._ledger
        ledger.saved(await snapshot(ledger.record, document, self._means, reason="checkpoint", checkpoint=True))
        await ledger.write()

    async def _tell_when_gone(self, browser: Browser) -> None:
        await browser.gone.wait()
        self._post(life.BrowserGone())
