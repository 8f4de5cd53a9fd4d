"""The composition root: settings, store, engine, API, and the clock that drives them."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from lb.datapath.engine import Engine
from lb.datapath.objects import Sizes
from lb.datapath.pins import prepare
from lb.net.vips import Vips
from telco import host
from telco.api import views
from telco.api.app import create_app
from telco.api.guard import Guard
from telco.api.hub import Hub
from telco.config import Config
from telco.keeper import Keeper
from telco.node import Node
from telco.policy import Limits
from telco.store import Store

log = logging.getLogger("telco")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The daemon's own handlers serve both listeners."""
        yield


def _settings(app: Guard, **tls: Path | None) -> uvicorn.Config:
    """Only what the API uses is loaded."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        loop="asyncio",
        ws="none",
        lifespan="off",
        **tls,  # type: ignore[arg-type]  # paths go where text is declared
    )


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
                "%(kind)s service=%(service)s endpoint=%(endpoint)s client=%(source)s:%(sport)d "
                "vip=%(destination)s:%(dport)d tag=%(client_tag)s reason=%(reason)s",
                views.event(event),
            )
    hub.publish(events)


@dataclass(slots=True)
class _Held:
    """What this process alone has while it runs; taken before the datapath is touched."""

    config: Config
    locks: list[int] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def take(self) -> None:
        """All of it. Raises HostError."""
        host.privileges()
        host.tls(self.config)
        prepare(self.config.pin_dir)
        self.locks += [host.lock(directory) for directory in (self.config.state_dir, self.config.pin_dir)]
        self.sockets.append(host.unix_socket(self.config.socket))
        if self.config.listen:
            self.sockets.append(host.tcp_socket(self.config))

    def give_back(self) -> None:
        """The socket's name too, if it is ours."""
        if self.sockets:
            self.config.socket.unlink(missing_ok=True)
        for held in self.sockets:
            held.close()


async def _run(config: Config, node: Node, keeper: Keeper, sockets: list[socket.socket]) -> None:
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
    listeners = []
    for listener in sockets:
        listener.listen()  # not before the policy is applied
        secure = config.tls_certificate is not None and listener.family != socket.AF_UNIX
        tls = {"ssl_certfile": config.tls_certificate, "ssl_keyfile": config.tls_key} if secure else {}
        listeners.append((_Server(_settings(app, **tls)), listener))
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
    gc.enable()


def serve(config: Config) -> None:
    """Run until told to stop. The datapath stays and goes on forwarding; the next start adopts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    held = _Held(config)
    with ExitStack() as stack:
        stack.callback(held.give_back)
        held.take()
        store = Store(config.state_dir)
        stack.callback(store.close)
        vips = Vips(config.state_dir / "vips.json", netns=config.netns)
        engine = Engine(
            config.interfaces,
            attach=config.attach,
            pins=config.pin_dir,
            sizes=Sizes(conversations=config.associations, services=config.services),
            netns=config.netns,
        )
        stack.callback(engine.close)
        node = Node(engine, vips, netns=config.netns)
        sizes = engine.datapath.sizes
        limits = Limits(services=sizes.services, endpoints=sizes.endpoints, vip_ports=sizes.vips)
        keeper = Keeper(store, node, limits)
        _calm_collector()
        asyncio.run(_run(config, node, keeper, held.sockets))
