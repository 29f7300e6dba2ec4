"""The composition root: from a Config to a gateway that serves, and back to nothing left."""

import asyncio
import fcntl
import hashlib
import hmac
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import structlog

from browser_pool.binary import Binaries
from browser_pool.confinement import Wish
from browser_pool.memory import memory
from browser_pool.pool import BrowserPool
from browser_pool.tasks import running
from browser_pool.users import let_pass
from gateway.adblock.filters import Filters
from gateway.cluster.cluster import Cluster
from gateway.cluster.hop import Hops
from gateway.cluster.placement import Capacity
from gateway.config import Config, ConfigError
from gateway.egress.process import EgressProcess
from gateway.member import Successor, backstage, kept, member, remembered
from gateway.pages.fetch import Fetches
from gateway.pages.hosted import Hosted
from gateway.pages.jobs import ROOM, SHARED_ROOM, open_jobs
from gateway.pages.service import open_pages
from gateway.records import Limits, Rules, SessionId
from gateway.relay.relay import relaying
from gateway.session.files import Files
from gateway.session.janitor import keep_sharing, keep_sweeping
from gateway.session.means import Means
from gateway.session.profiles import Profiles
from gateway.session.registry import Registry, open_registry
from gateway.snapshot.blobs import snapshot_store
from gateway.snapshot.carded import CardedStore
from gateway.snapshot.seal import Sealer
from gateway.tenancy.access import Access
from gateway.tenancy.capability import tag
from gateway.tenancy.queue import Slots
from gateway.tenancy.quota import Quotas
from gateway.tenancy.secret import digest
from gateway.tenancy.storage import Storage
from gateway.tenancy.tenants import Tenants
from gateway.web import tls
from gateway.web.app import build_app
from gateway.web.between import answer_at
from gateway.web.door import Door
from gateway.web.forward import Forwards, forwarding
from gateway.web.steel_shapes import DIMENSIONS
from gateway.web.surface import Surface, listening

log = structlog.get_logger()
SHUTDOWN = 5.0  # seconds for requests under way once all sessions are over
GOODBYE = 0.2  # seconds for the last answers to leave when another gateway follows


class DataDirectoryInUse(RuntimeError):
    """Another gateway runs on this data directory."""


class CannotListen(OSError):
    """The address is in use, not this machine's, or not allowed."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What this gateway keeps for itself; `made` if the token was made by us and nobody else knows it yet."""

    token: str | None
    key: bytes
    made: bool
    tenants: Tenants | None = None


def prepare(config: Config) -> Secrets:
    """Make the data directory and read or make its secrets.

    Raises OSError, and ConfigError for a certificate, tenants file or snapshot store that cannot be used.
    """
    tls.configured(config)
    tls.trusting(config.cluster_ca)
    if config.snapshot_store is not None:
        try:
            snapshot_store(config.snapshot_store)
        except ValueError as error:
            raise ConfigError(f"snapshot_store: {error}") from None
    taken = () if config.token is None else (digest(config.token),)
    tenants = None if config.tenants_file is None else Tenants(config.tenants_file, taken)
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if config.redis_url is not None and config.cluster_key is not None:
        # What one node hands out, any other is to know.
        key = hmac.digest(config.cluster_key.encode(), b"cdp-gateway capabilities 1", hashlib.sha256)
    else:
        key = bytes.fromhex(_kept(config.data_dir / "capability.key", lambda: secrets.token_hex(32)))
    if config.no_auth or config.token is not None or tenants is not None:
        return Secrets(config.token, key, made=False, tenants=tenants)
    return Secrets(_kept(config.data_dir / "token", lambda: secrets.token_urlsafe(24)), key, made=True)


def _kept(file: Path, make: Callable[[], str]) -> str:
    """The text in `file`, made and written with mode 0600 if there is none."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        text = make()
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as new:
            new.write(text + "\n")
        return text


@asynccontextmanager
async def started(config: Config, known: Secrets) -> AsyncIterator[tuple[Registry, int]]:
    """A gateway that serves while the block lasts: its registry, and the port it listens on."""
    directory = config.data_dir
    limits = Limits(
        ttl_max=config.ttl_max,
        keep=config.process_keep_alive,
        reconnect=config.reconnect_default,
        reconnect_max=config.reconnect_max,
        park=config.park_after,
        checkpoint=config.checkpoint_interval,
    )
    access = Access(known.token, known.key, known.tenants)
    files = Files(directory / "downloads", config.files_max)
    sealer = Sealer(config.encryption_key)
    # Browsers launched ahead take memory like any other.
    most = config.max_sessions or max(1, memory().browsers - config.warm)
    slots = Slots(most, config.queue_length, config.queue_timeout, access.tenant)
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(directory))
        vault = await stack.enter_async_context(kept(config, sealer))
        records, redis = await stack.enter_async_context(remembered(config))
        store = CardedStore(records, vault)
        if os.geteuid() == 0 and config.confining.wish is not Wish.OFF:
            await asyncio.to_thread(let_pass, directory)  # browsers' users, to their own
        binaries = Binaries(config.browser)
        node = Rules(config.egress_allow, config.egress_deny)
        wish = config.confining.wish
        egress = EgressProcess(node, level=config.log_level, form=config.log_format, confinement=wish)
        await stack.enter_async_context(egress)
        pool = await stack.enter_async_context(
            BrowserPool(
                directory / "browsers",
                binaries,
                warm=config.warm,
                extensions=config.extensions,
                outlive=config.adopt_timeout,
                confinement=config.confining,
                roads=egress,
            )
        )
        _say_what_holds(pool)
        cluster: Cluster | None = None
        if redis is not None:

            def room() -> Capacity:
                return Capacity(most, len(pool.warm.ready), not registry.draining and not pool.short_of_memory)

            cluster = await stack.enter_async_context(member(config, redis, access.tenant, room))
        quotas = Quotas(access.tenant, None if cluster is None else cluster.charge)
        storage = Storage(store, vault, access.tenant)
        filters = Filters(config.filter_lists)
        profiles = Profiles(store, vault, storage, directory / "profiles", usual=DIMENSIONS)
        await asyncio.to_thread(profiles.sweep)
        means = Means(
            pool,
            slots,
            vault,
            files,
            egress=egress,
            quotas=quotas,
            storage=storage,
            filters=filters,
            placed=cluster is not None,
            kept=profiles.keep,
        )
        registry = await stack.enter_async_context(
            open_registry(store, means, drain_timeout=config.drain_timeout, fleet=cluster)
        )
        if known.tenants is not None:
            await stack.enter_async_context(running(known.tenants.follow(slots.settle), "tenants"))
        await stack.enter_async_context(running(files.watch(), "files"))
        hosted = Hosted(
            directory / "hosted",
            Sealer(config.encryption_key),
            tag="" if cluster is None else tag(config.node),
            node=lambda other: None if cluster is None else cluster.named_by(other),
        )
        await stack.enter_async_context(running(hosted.watch(), "hosted"))
        await stack.enter_async_context(running(profiles.watch(), "profiles"))
        await stack.enter_async_context(running(keep_sharing(vault), "sharing"))
        await stack.enter_async_context(running(keep_sweeping(store, registry, config.retention), "janitor"))
        pages = await stack.enter_async_context(open_pages(registry, directory / "driver", ttl=config.ttl_max))
        fetches = Fetches(registry, pages, limits)
        forwards: Forwards | None = None
        if cluster is not None and config.cluster_key is not None:
            hops = Hops(config.cluster_key.encode(), config.node)

            def here(session: SessionId) -> bool:
                return registry.live(session) is not None

            forwards = await stack.enter_async_context(
                forwarding(cluster, hops, access.capabilities, here, tls=tls.trusting(config.cluster_ca))
            )
        forward = None if forwards is None else partial(answer_at, forwards)
        jobs = await stack.enter_async_context(
            open_jobs(
                store.jobs,
                sealer,
                fetches.answer,
                lambda: registry.draining,
                forward,
                ROOM if cluster is None else SHARED_ROOM,
            )
        )
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), trust_env=False)
        )
        relays = await stack.enter_async_context(relaying())
        door = Door(access, config.external_url, config.allowed_origins)
        surface = Surface.of(config)
        app = build_app(
            registry,
            relays,
            door,
            limits,
            http,
            store,
            external_url=config.external_url,
            max_body=config.max_body,
            surface=surface,
            pages=pages,
            fetches=fetches,
            jobs=jobs,
            hosted=hosted,
            profiles=profiles,
            forwards=forwards,
            fleet=cluster,
        )
        try:
            port = await stack.enter_async_context(listening(config, app, surface, SHUTDOWN))
        except OSError as error:
            raise CannotListen(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from error
        await egress.reserve({port}, await backstage(config))
        if cluster is not None:
            cluster.follower = Successor(registry, jobs)
            await cluster.open()
        # Sessions are put away while requests are still answered: a stop in progress gets its reply.
        stack.push_async_callback(registry.drain, config.drain_timeout)
        yield registry, port


def _say_what_holds(pool: BrowserPool) -> None:
    if pool.confinement.wish is Wish.OFF:
        log.warning("browsers_not_confined", why="confinement is off: who drives one has the rights of this process")
        return
    for measure in pool.held.missing:
        log.warning("browsers_not_confined", measure=measure.name, why=measure.why)
    log.info("browsers_confined", by=[measure.name for measure in pool.held.measures if measure.holds])


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the data directory: a second gateway on it would end the first one's browsers as left over."""
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirectoryInUse(f"another gateway runs on {directory}: give this one its own --data-dir") from None
        yield


async def serve(config: Config, known: Secrets, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends at once. `ready` is called with the port.

    SIGUSR2 hands over: the browsers run on for the next gateway on this data directory, which adopts them.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def stopping(name: str) -> None:
        if stop.done():
            log.warning("stopped_at_once", signal=name)
            os._exit(1)  # browsers that nobody adopts are ended by their guard
        stop.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        loop.add_signal_handler(number, stopping, number.name)
    async with started(config, known) as (registry, port):
        log.info("serving", host=config.host, port=port, max_sessions=registry.means.slots.limit)
        ready(port)
        name = await stop
        log.info("stopping", signal=name)
        if name == "SIGUSR2" and config.adopt_timeout:
            log.info("handed_over", browsers=await registry.hand_over(config.drain_timeout))
            await asyncio.sleep(GOODBYE)
            os._exit(0)  # leaving the block would end the browsers
    log.info("stopped")
