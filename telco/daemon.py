"""The composition root: settings, store, engine, API, and the clock that drives them."""

import asyncio
import gc
import grp
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from lb.datapath.engine import Engine
from lb.datapath.objects import Sizes
from lb.net.vips import Vips
from telco.api.app import create_app
from telco.api.guard import Guard
from telco.api.hub import Hub
from telco.config import Config
from telco.keeper import Keeper
from telco.node import Node
from telco.store import Store

GROUP = "telco"
log = logging.getLogger("telco")


def _unix_socket(path: Path) -> socket.socket:
    """A socket that owner and group may use, and nobody else."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        made.bind(str(path))
        made.listen()  # whoever dials early waits, and is not refused
    finally:
        os.umask(before)
    with suppress(KeyError):  # no such group: root's alone
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    return made


def _tcp_socket(config: Config) -> socket.socket:
    host, port = config.address()
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    return made


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The daemon's own handlers serve both listeners."""
        yield


def _stop_all(servers: list[_Server]) -> None:
    """Finish what is being answered, then end."""
    for server in servers:
        server.should_exit = True


async def _sweep(engine: Engine) -> None:
    while True:
        await asyncio.sleep(1)
        swept = await asyncio.to_thread(engine.sweep)
        if swept.ended or swept.expired:
            log.info("swept ended=%d expired=%d live=%d", swept.ended, swept.expired, swept.live)


def _complain(task: asyncio.Task[None]) -> None:
    """Probing and sweeping run as long as the daemon does; if one ends, say why."""
    if not task.cancelled() and (error := task.exception()):
        log.error("%s ended", task.get_name(), exc_info=error)


def _report(node: Node, hub: Hub) -> None:
    events = node.engine.events()
    for event in events:
        node.heard(event)
        if event.kind != "trace":
            log.info(
                "%s service=%s endpoint=%s client=%s:%d vip=%s:%d tag=0x%08x reason=%s",
                *(event.kind, event.service, event.endpoint, event.source, event.sport),
                *(event.destination, event.dport, event.client_tag, event.reason),
            )
    hub.publish(events)


async def _run(config: Config, node: Node, keeper: Keeper) -> None:
    engine = node.engine
    hub = Hub(lambda on: engine.trace(on=on))
    app = Guard(
        create_app(keeper, engine, hub),
        token_sha256=config.token_sha256,
        max_body=config.max_body_mb << 20,
        per_second=config.requests_per_second,
    )
    loop = asyncio.get_running_loop()
    loop.add_reader(engine.fileno(), _report, node, hub)
    listeners = [
        (_Server(uvicorn.Config(app, log_config=None, access_log=False)), _unix_socket(config.socket))
    ]
    if config.listen:
        tls = (
            {"ssl_certfile": config.tls_certificate, "ssl_keyfile": config.tls_key}
            if config.tls_certificate
            else {}
        )
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False, **tls))  # type: ignore[arg-type]
        listeners.append((server, _tcp_socket(config)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_all, [server for server, _ in listeners])
    beside = [asyncio.create_task(work) for work in (_sweep(engine), node.run())]
    for task in beside:
        task.add_done_callback(_complain)
    log.info("ready revision=%d interfaces=%s adopted=%s", keeper.revision, engine.hooks, engine.adopted)
    await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in listeners))
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)


def _calm_collector() -> None:
    """A large push makes a million objects that stay: seeking cycles among them over and over doubles its time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def serve(config: Config) -> None:
    """Run until told to stop. The datapath stays and goes on forwarding; the next start adopts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = Store(config.state_dir)
    engine = Engine(
        config.interfaces,
        attach=config.attach,
        pins=config.pin_dir,
        sizes=Sizes(conversations=config.associations, services=config.services),
        netns=config.netns,
    )
    node = Node(engine, Vips(config.state_dir / "vips.json", netns=config.netns), netns=config.netns)
    keeper = Keeper(store, node)
    _calm_collector()
    try:
        asyncio.run(_run(config, node, keeper))
    finally:
        config.socket.unlink(missing_ok=True)
        engine.close()
        store.close()
