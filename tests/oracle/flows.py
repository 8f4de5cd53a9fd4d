"""TCP and UDP (docs/datapath.md §12): a flow is a tuple with one path."""

from lb.model import Admin, Endpoint, Mode, Service
from tests.oracle import paths
from tests.oracle.frames import TCP, UDP, Frame, parse
from tests.oracle.leaving import Answer, Outcome, flow_payload, hop_for, leave
from tests.oracle.model import Model, malformed
from tests.oracle.state import DOWN, PROTOCOLS, UP, Flow, Stop, Tuple, Undetermined, drop

FIN, SYN, RST, ACK = 1, 2, 4, 16
SHORTEST = {TCP: 20, UDP: 8}
LOWEST_PORT = 1024


def walk(model: Model, f: Frame) -> Outcome:
    """Any whole packet or first fragment."""
    payload = f.payload
    if len(payload) < SHORTEST[f.protocol]:
        raise malformed(model, f, "transport_length")
    sport, dport = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    if not sport or not dport:
        raise malformed(model, f, "zero_port")
    key = (f.protocol, f.src, f.dst, sport, dport)
    flags = payload[13] if f.protocol == TCP else 0
    found = model.flows.get(key)
    if found and found[1] == UP and flags & (SYN | ACK | RST) == SYN and _over(model, found[0]):
        end(model, found[0])
        found = None
    flow, direction = found or (_begun(model, f, key, flags), UP)
    return _carry(model, f, flow, direction, flags)


def _over(model: Model, flow: Flow) -> bool:
    now = model.world.current(flow.pool, flow.endpoint)
    gone = now is None or now.admin is Admin.DOWN or not model.world.reachable(now)
    return flow.state != "established" or gone


def _carry(model: Model, f: Frame, flow: Flow, direction: int, flags: int) -> Outcome:
    before = flow.last
    if flags & FIN:
        flow.fins.add(direction)
    if flow.state == "established":
        closed = "shutdown" if len(flow.fins) > 1 and flags & (FIN | RST) else flow.state
        flow.state = "aborted" if flags & RST else closed
    flow.last = model.now
    flow.packets[direction] += 1
    flow.octets[direction] += f.size
    to = translated(flow, direction)
    try:
        hop = hop_for(model.hook, f, to.dst)
    except Stop as stop:
        if stop.verdict == "pass":
            flow.last = before
            flow.packets[direction] -= 1
            flow.octets[direction] -= f.size
        raise
    outcome = leave(model.hook, f, hop, to.src, to.dst, flow_payload(f, to.src, to.dst, to.sport, to.dport))
    at = {TCP: 16, UDP: 6}[f.protocol]
    outcome.soft += (len(outcome.data) - (len(f.raw) - f.l4) + at,)
    return outcome


def translated(flow: Flow, direction: int) -> Answer:
    """Ends and ports as they leave."""
    _, client, vip, cport, vport = flow.near
    _, server, ours, sport, oport = flow.far
    return Answer(ours, server, oport, sport) if direction == UP else Answer(vip, client, vport, cport)


def answer(model: Model, quote: Frame) -> Answer | None:
    """How an answer to a quoted packet would leave."""
    raw = quote.raw
    sport, dport = (int.from_bytes(raw[quote.l4 + a : quote.l4 + a + 2], "big") for a in (0, 2))
    found = model.flows.get((quote.protocol, quote.dst, quote.src, dport, sport))
    return translated(*found) if found else None


def _begun(model: Model, f: Frame, key: Tuple, flags: int) -> Flow:
    protocol, src, dst, sport, dport = key
    served = model.world.service(dst, protocol, dport)
    if served is None:
        raise drop("no_service") if model.world.is_vip(dst, protocol) else Stop("pass")
    service, j = served
    if protocol == TCP and flags & (SYN | ACK | RST | FIN) != SYN:
        raise drop("no_flow")
    if not model.world.allowed(service, src):
        raise drop("source_not_allowed")
    if model.world.member(service, src):
        raise drop("endpoint_init")
    endpoint = _picked(model, service)
    if model.free <= 0:
        raise drop("table_full")
    server = _server(model, service, endpoint, j, len(src))
    server_port = endpoint.port or dport
    ours = dst if service.mode is Mode.FULLNAT else src
    port = _port(model, service, endpoint, (protocol, server, ours, server_port, sport))
    flow = Flow(
        service=service,
        pool=model.world.pool(service),
        endpoint=endpoint,
        near=key,
        far=(protocol, server, ours, server_port, port),
        last=model.now,
    )
    model.free -= 1
    model.flows[flow.near] = flow, UP
    model.flows[flow.far] = flow, DOWN
    return flow


def _picked(model: Model, service: Service) -> Endpoint:
    able = [e for e in model.world.pool(service).endpoints if model.world.usable(e)]
    if not able:
        raise drop("no_endpoint")
    sent = _sent(model, service)
    if sent is None and len(able) > 1:
        raise Undetermined
    return next((e for e in able if sent and sent.dst in [a.packed for a in e.addresses]), able[0])


def _sent(model: Model, service: Service) -> Frame | None:
    """What went to the endpoint, if it is no ICMP error about it."""
    sent = parse(model.seen) if model.seen else None
    return sent if sent and PROTOCOLS.get(sent.protocol) is service.protocol else None


def _server(model: Model, service: Service, endpoint: Endpoint, j: int, size: int) -> bytes:
    servers = [a.packed for a in endpoint.addresses]
    single = model.world.pool(service).paths.value == "single"
    first = 0 if single else j % len(servers)
    order = [servers[(first + k) % len(servers)] for k in range(len(servers))]
    fitting = [s for s in order if len(s) == size]
    if not fitting:
        raise drop("no_path")
    return next((s for s in fitting if paths.alive(model.world, s)), fitting[0])


def _port(model: Model, service: Service, endpoint: Endpoint, far: Tuple) -> int:
    """In dnat the client's, if the endpoint's answer would not be another flow's; in fullnat a free one."""
    if service.mode is Mode.DNAT:
        if far in model.flows:
            raise drop("ports_exhausted")
        return far[4]
    server = endpoint.addresses[0].packed
    held = {
        (flow.near[0], flow.endpoint.addresses[0].packed, flow.far[3], flow.far[4])
        for flow, _ in model.flows.values()
        if flow.service.mode is Mode.FULLNAT
    }
    if (far[0], server, far[3], far[4]) not in held:
        return far[4]
    sent = _sent(model, service)
    if sent is None:
        raise Undetermined
    port = int.from_bytes(sent.payload[:2], "big")
    if port < LOWEST_PORT or (far[0], server, far[3], port) in held:
        raise drop("ports_exhausted")
    return port


def end(model: Model, flow: Flow) -> None:
    """Nothing of it stays."""
    del model.flows[flow.near], model.flows[flow.far]
    model.free += 1
