"""The main job end to end: gNBs register UEs through the balancer while cables, AMFs and the daemon fail."""

import json
import time
from collections.abc import Callable, Iterator

from telco.shapes import Association

from .balancer import Balancer
from .host import GuestHost
from .lab import Lab
from .remote import Program
from .scenario import Step, scenario

PORT = 38412
AMFS = ("amf1", "amf3", "amf2")  # amf3 has a guest of its own and can die; round robin gives it to gnb2
SETTLE_S = 1.5
REBOOT_S = 30.0


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
            {"kind": "Pool", "name": "amf", "spec": {"endpoints": endpoints}},
            {"kind": "Service", "name": "n2", "spec": service},
        ]
    ).encode()


def start_amf(host: GuestHost) -> Program:
    """An AMF that listens on all its addresses."""
    program = host.start("amf", "--bind", ",".join(host.addresses), "--name", host.name)
    program.expect("listening", timeout_s=REBOOT_S)
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
        """What the balancer shows."""
        with self.balancer.client() as client:
            return client.associations()

    def report(self, name: str) -> dict[str, int | float]:
        """A gNB's counters since its last report."""
        found = self.gnbs[name].ask("report", "report")
        return {key: value for key, value in found.items() if isinstance(value, int | float)}

    def measure(self, title: str, act: Callable[[], str], seconds: float = SETTLE_S) -> Step:
        """Do something under traffic; it holds if both gNBs go on registering on the association they have."""
        before = {name: self.report(name) for name in self.gnbs}
        said = act()
        time.sleep(seconds)
        after = {name: self.report(name) for name in self.gnbs}
        done = sum(after[n]["registered"] - before[n]["registered"] for n in after)
        pause = max(report["longest_pause_ms"] for report in after.values())
        held = all(
            after[n]["registered"] > before[n]["registered"] and after[n]["setups"] == before[n]["setups"]
            for n in after
        )
        effect = f"{said}{done} UEs registered meanwhile, none lost, longest pause {pause:.0f} ms"
        return Step(title=title, effect=effect if held else f"{after}", held=held)

    def cut(self, host: str) -> Callable[[], str]:
        """Cut a host's first cable."""

        def act() -> str:
            self.lab.faults.cut(host, 0)
            return ""

        return act

    def mend(self, host: str) -> Callable[[], str]:
        """Mend it."""

        def act() -> str:
            self.lab.faults.mend(host, 0)
            return ""

        return act


@scenario("demo", on="core")
def demo(lab: Lab) -> Iterator[Step]:
    """Two gNBs and three AMFs, all multi-homed, around two VIPs; then everything fails once."""
    with Balancer(lab) as balancer:
        it = Demo(lab, balancer)
        revision = it.push()
        yield Step(
            title="policy pushed by REST", effect=f"revision {revision}: 3 AMFs behind 2 VIPs", held=True
        )
        yield from _connect(it)
        yield it.measure("UEs register", lambda: "")
        yield it.measure("gnb1's first cable cut", it.cut("gnb1"), 2.5)
        yield it.measure("… and mended", it.mend("gnb1"))
        yield it.measure("amf1's first cable cut", it.cut("amf1"), 2.5)
        yield it.measure("… and mended", it.mend("amf1"))
        yield from _drain(it)
        yield it.measure("daemon killed and restarted", lambda: _restart(balancer), 1.0)
        yield _reboot(it)
        yield _finish(it)


def _connect(it: Demo) -> Iterator[Step]:
    for name in ("gnb1", "gnb2"):
        it.gnbs[name], amf = start_gnb(it.lab.host(name), it.lab.topology.vips, name)
        rows = [row for row in it.associations() if row["endpoint"] == f"amf/{amf}"]
        paths = rows[0]["paths"] if rows else []
        effect = f"from port {PORT} answered by {amf}, {len(paths) if isinstance(paths, list) else 0} paths"
        yield Step(title=f"{name}: NG Setup", effect=effect, held=len(rows) == 1)


def _drain(it: Demo) -> Iterator[Step]:
    yield it.measure("amf1 drained", lambda: f"revision {it.push(amf1='draining')}, ")
    chosen = []
    for number in range(3):
        program, amf = start_gnb(it.lab.host("gnb1"), it.lab.topology.vips, f"extra{number}", 40000 + number)
        chosen.append(amf)
        program.tell("finish")
        program.expect("ended")
    effect = f"3 new gNBs went to {', '.join(chosen)}"
    yield Step(title="… and new gNBs avoid it", effect=effect, held="amf1" not in chosen)
    it.push()


def _restart(balancer: Balancer) -> str:
    balancer.kill()
    return f"ready again after {balancer.start():.1f} s, "


def _reboot(it: Demo) -> Step:
    """amf3's host loses power and boots; gnb2 dials again from the same port and registers its UEs elsewhere."""
    before = it.report("gnb2")
    other = it.report("gnb1")
    started = time.monotonic()
    it.lab.faults.kill("amf3")
    it.lab.faults.reboot("amf3")
    it.amfs["amf3"] = start_amf(it.lab.host("amf3"))
    while (now := it.report("gnb2"))["registered"] <= before["registered"] or now["setups"] == before[
        "setups"
    ]:
        if time.monotonic() - started > REBOOT_S:
            return Step(
                title="amf3 killed and rebooted", effect=f"gnb2 is still without an AMF: {now}", held=False
            )
        time.sleep(0.1)
    took = time.monotonic() - started
    same = it.report("gnb1")["setups"] == other["setups"]
    effect = f"gnb2 registers UEs again after {took:.1f} s (boot included); gnb1 noticed {'nothing' if same else 'it'}"
    return Step(title="amf3 killed and rebooted", effect=effect, held=same)


def _finish(it: Demo) -> Step:
    ends = []
    for gnb in it.gnbs.values():
        gnb.tell("finish")
        ends.append(gnb.expect("ended"))
    registered = sum(int(str(end["registered"])) for end in ends)
    waiting = sum(int(str(end["waiting"])) for end in ends)
    with it.balancer.client() as client:
        drops = {reason: count for reason, count in client.stats()["drops"].items() if count}
    effect = (
        f"{registered} UEs registered, {waiting} unanswered; packets dropped by reason: {drops or 'none'}"
    )
    return Step(title="SHUTDOWN from both gNBs", effect=effect, held=waiting == 0)
