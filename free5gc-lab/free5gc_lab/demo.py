"""The main job end to end: gNBs register UEs through the balancer while cables, AMFs and the daemon fail."""

import json
import time
from collections.abc import Callable, Iterator

from telco.shapes import Association

from .balancer import Balancer
from .errors import LabError
from .host import GuestHost
from .lab import Lab
from .remote import Program
from .scenario import Step, scenario

PORT = 38412
AMFS = ("amf1", "amf3", "amf2")  # amf3 has a guest of its own and can die; round robin gives it to gnb2
PROBE = {"type": "sctp", "interval": "500ms", "timeout": "250ms", "rise": 2, "fall": 3}
SETTLE_S = 1.5
FAILOVER_S = 2.5  # with a cable cut: until a path is given up (two time-outs), and some traffic after it
PATIENCE_S = 30.0
LONGEST_PAUSE_MS = 3000.0  # RTO.Max is 1 s in the lab: more is no failover


def policy(lab: Lab, **admin: str) -> bytes:
    """The demo's policy: one N2 service over three AMFs, some of them drained."""
    endpoints = [
        {
            "name": amf,
            "addresses": list(lab.topology.addresses(amf)),
            "port": PORT,
            "admin": admin.get(amf, "up"),
        }
        for amf in AMFS
    ]
    service = {"vips": list(lab.topology.vips), "port": PORT, "mode": "fullnat", "pick": "rr", "pool": "amf"}
    return json.dumps(
        [
            {"kind": "Pool", "name": "amf", "spec": {"endpoints": endpoints, "probe": PROBE}},
            {"kind": "Service", "name": "n2", "spec": service},
        ]
    ).encode()


def start_amf(host: GuestHost) -> Program:
    """An AMF that listens on all its addresses."""
    program = host.start("amf", "--bind", ",".join(host.addresses), "--name", host.name)
    program.expect("listening", timeout_s=PATIENCE_S)
    return program


def start_gnb(host: GuestHost, vips: tuple[str, ...], name: str, port: int = PORT) -> tuple[Program, str]:
    """A gNB that has done NG Setup, and the AMF that answered it."""
    words = ("--bind", ",".join(host.addresses), "--peer", vips[0], "--name", name, "--port", port)
    program = host.start("gnb", *words)
    return program, str(program.expect("setup", timeout_s=20.0)["amf"])


class Demo:
    """The hosts, the programs on them, and what they measured."""

    def __init__(self, lab: Lab, balancer: Balancer) -> None:
        self.lab, self.balancer = lab, balancer
        self.amfs = {name: start_amf(lab.host(name)) for name in AMFS}
        self.gnbs: dict[str, Program] = {}

    def push(self, **admin: str) -> int:
        """Push the policy by REST; its revision."""
        with self.balancer.client() as client:
            return int(client.replace(policy(self.lab, **admin), yaml_text=False)["revision"])

    def associations(self) -> list[Association]:
        """What the balancer shows, established ones only."""
        with self.balancer.client() as client:
            return [row for row in client.associations() if row["state"] == "established"]

    def health(self, amf: str) -> set[str]:
        """The states of an AMF's addresses, as probes found them."""
        with self.balancer.client() as client:
            (found,) = (one for one in client.status()["pools"]["amf"] if one["name"] == amf)
        return set(found["addresses"].values())

    def report(self, name: str) -> dict[str, int | float]:
        """A gNB's counters since its last report."""
        found = self.gnbs[name].ask("report", "report")
        return {key: value for key, value in found.items() if isinstance(value, int | float)}

    def measure(self, title: str, act: Callable[[], str], seconds: float = SETTLE_S) -> Step:
        """Do something under traffic; it holds if both gNBs go on registering UEs on the association they have."""
        before = {name: self.report(name) for name in self.gnbs}
        said = act()
        time.sleep(seconds)
        after = {name: self.report(name) for name in self.gnbs}
        pause = max(report["longest_pause_ms"] for report in after.values())
        done, lost, dialled = (
            {name: after[name][what] - before[name][what] for name in after}
            for what in ("registered", "abandoned", "setups")
        )
        held = all(done.values()) and not any(lost.values()) and not any(dialled.values())
        effect = f"{said}{sum(done.values())} UEs registered, {sum(lost.values())} lost, pause {pause:.0f} ms"
        if any(dialled.values()):
            effect += f"; associations lost: {dialled}"
        return Step(title=title, effect=effect, held=held and pause < LONGEST_PAUSE_MS)

    def cut(self, host: str) -> Step:
        """A host's first cable is cut: what follows takes the second one."""
        return self._cable(f"{host}: first cable cut", host, self.lab.faults.cut, FAILOVER_S)

    def mend(self, host: str) -> Step:
        """It is mended: both carry packets again."""
        return self._cable("… and mended", host, self.lab.faults.mend, SETTLE_S)

    def _cable(self, title: str, host: str, change: Callable[[str, int], int], seconds: float) -> Step:
        """The cables' own frames tell which are used, once the peers have had time to notice."""
        used = (0, 0)

        def act() -> str:
            nonlocal used
            change(host, 0)
            time.sleep(seconds)
            with self.lab.capture(host, 0) as first, self.lab.capture(host, 1) as second:
                time.sleep(SETTLE_S)
            used = tuple(len(one.packets(towards_host=host == "amf1")) for one in (first, second))  # type: ignore[assignment]  # two of them
            return ""

        step = self.measure(title, act, 0.0)
        effect = f"{step.effect}; then cable 1 carried {used[0]} packets, cable 2 {used[1]}"
        mended = change == self.lab.faults.mend
        held = min(used) > 0 if mended else used[1] > used[0]
        return Step(title=step.title, effect=effect, held=step.held and held)

    def wait(self, what: str, ready: Callable[[], bool]) -> float:
        """Seconds until something is so; LabError if it takes too long."""
        started = time.monotonic()
        while not ready():
            if time.monotonic() - started > PATIENCE_S:
                raise LabError(f"not within {PATIENCE_S:.0f} s: {what}")
            time.sleep(0.05)
        return time.monotonic() - started


@scenario("demo", on="core")
def demo(lab: Lab) -> Iterator[Step]:
    """Two gNBs and three AMFs, all multi-homed, around two VIPs; then everything fails once."""
    with Balancer(lab) as balancer:
        it = Demo(lab, balancer)
        yield Step(
            title="policy pushed by REST", effect=f"revision {it.push()}: 3 AMFs behind 2 VIPs", held=True
        )
        for name in ("gnb1", "gnb2"):
            yield _connect(it, name)
        yield it.measure("UEs register", lambda: "")
        for host in ("gnb1", "amf1"):
            yield it.cut(host)
            yield it.mend(host)
        yield it.measure("amf1 drained", lambda: f"revision {it.push(amf1='draining')}: ")
        yield _avoid(it)
        yield it.measure("daemon killed (SIGKILL), restarted", lambda: _restart(balancer), 1.0)
        yield _kill(it)
        yield _reboot(it)
        yield _finish(it)


def _connect(it: Demo, name: str) -> Step:
    it.gnbs[name], amf = start_gnb(it.lab.host(name), it.lab.topology.vips, name)
    rows = [row for row in it.associations() if row["endpoint"] == f"amf/{amf}"]
    paths = len(rows[0]["paths"]) if rows else 0
    effect = f"from port {PORT}, answered by {amf}, {paths} paths"
    return Step(title=f"{name}: NG Setup", effect=effect, held=len(rows) == 1 and paths == 2)


def _visit(it: Demo, number: int) -> str:
    """One more gNB comes, does NG Setup and leaves; the AMF that answered it."""
    name = f"extra{number}"
    program, amf = start_gnb(it.lab.host("gnb1"), it.lab.topology.vips, name, 40000 + number)
    program.tell("finish")
    program.expect("ended")
    return amf


def _avoid(it: Demo) -> Step:
    chosen = [_visit(it, number) for number in range(3)]
    it.push()
    effect = f"3 new gNBs went to {', '.join(chosen)}"
    return Step(title="… and new gNBs avoid it", effect=effect, held="amf1" not in chosen)


def _restart(balancer: Balancer) -> str:
    balancer.kill()
    took = balancer.start()
    with balancer.client() as client:
        adopted = "adopted" if client.status()["adopted"] else "NOT adopted"
    return f"ready after {took:.1f} s, associations {adopted}: "


def _kill(it: Demo) -> Step:
    """amf3's host loses power; gnb2 dials again from the same port and registers its UEs elsewhere."""
    before = {name: it.report(name) for name in it.gnbs}
    it.lab.faults.kill("amf3")
    down = it.wait("amf3 down by its probe", lambda: it.health("amf3") == {"down"})

    def moved() -> bool:
        now = it.report("gnb2")
        return now["setups"] > before["gnb2"]["setups"] and now["registered"] > before["gnb2"]["registered"]

    took = down + it.wait("gnb2 registers UEs at another AMF", moved)
    same = it.report("gnb1")["setups"] == before["gnb1"]["setups"]
    effect = (
        f"down by its probe after {down:.1f} s; gnb2 registers UEs elsewhere, from the same port, after "
        f"{took:.1f} s; gnb1 {'noticed nothing' if same else 'LOST its association'}"
    )
    return Step(title="amf3 loses power", effect=effect, held=same)


def _reboot(it: Demo) -> Step:
    """amf3 boots and listens on the same addresses and port."""
    started = time.monotonic()
    it.lab.faults.reboot("amf3")
    it.amfs["amf3"] = start_amf(it.lab.host("amf3"))
    it.wait("amf3 up by its probe", lambda: it.health("amf3") == {"up"})
    took = time.monotonic() - started
    chosen = [_visit(it, 10 + number) for number in range(len(AMFS))]
    effect = f"boots, up by its probe after {took:.1f} s; 3 new gNBs went to {', '.join(chosen)}"
    return Step(title="… and comes back", effect=effect, held="amf3" in chosen)


def _finish(it: Demo) -> Step:
    ends = []
    for gnb in it.gnbs.values():
        gnb.tell("finish")
        ends.append(gnb.expect("ended"))
    registered, waiting = (sum(int(str(end[what])) for end in ends) for what in ("registered", "waiting"))
    with it.balancer.client() as client:
        drops = {reason: count for reason, count in client.stats()["drops"].items() if count}
    effect = f"{registered} UEs registered in all, {waiting} unanswered; dropped packets: {drops or 'none'}"
    return Step(title="SHUTDOWN from both gNBs", effect=effect, held=waiting == 0)
