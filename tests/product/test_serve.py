"""`telco serve` on a host that lacks something: one sentence, a documented exit code, and traffic goes on."""

import hashlib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from lb.bpf import BpfError
from lb.datapath.pins import prepare
from telco import host
from telco.api.examples import POLICY
from telco.client import Client
from telco.config import Config, load
from telco.errors import ConfigError, HostError, TelcoError
from tests.datapath.conftest import run
from tests.product.conftest import Daemon, command

pytestmark = pytest.mark.root
TINY = "mkdir -p {0} && mount -t tmpfs -o size={1} none {0} && head -c {2} /dev/zero > {0}/filler; exec "


def said(found: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The one sentence that a command ended with."""
    (line,) = found.stderr.strip().splitlines()
    assert found.returncode == code, found
    assert line.startswith("telco: ")
    return line


def refused(daemon: Daemon, *more: str, wrap: Sequence[str] = (), code: int = 4, **settings: str) -> str:
    """The sentence of a start that fails; nothing of it is left."""
    line = said(command(*daemon.words(*more), wrap=wrap, **settings), code)
    assert not daemon.socket.exists()
    assert not daemon.pins.exists() or not list(daemon.pins.iterdir())
    return line


def inside(script: str) -> list[str]:
    """What puts a command behind a shell script, in a mount namespace of its own."""
    return ["unshare", "--mount", "sh", "-c", script + ' "$@"', "sh"]


def policy_of(path: Path) -> list[dict[str, object]]:
    """What a daemon has."""
    with Client(path) as client:
        return [{**resource} for resource in client.policy()]


def test_missing_privileges(daemon: Daemon) -> None:
    """Root, and what BPF takes."""
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups"]
    assert "needs root" in refused(daemon, wrap=nobody)
    without = ["setpriv", "--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-bpf,-sys_admin"]
    assert "needs CAP_BPF, which" in refused(daemon, wrap=without)


def test_the_units_capabilities_are_enough(daemon: Daemon) -> None:
    """Those that the unit names, and no others."""
    unit = Path(__file__).parents[2] / "packaging" / "telco-lb.service"
    (listed,) = [line for line in unit.read_text().splitlines() if line.startswith("CapabilityBoundingSet=")]
    names = [name.removeprefix("CAP_").lower() for name in listed.partition("=")[2].split()]
    wanted = ",".join(["-all", *(f"+{name}" for name in names)])
    daemon.start(wrap=["setpriv", "--bounding-set", wanted, "--inh-caps", wanted, "--no-new-privs"])
    with daemon.client() as client:
        client.put("Pool", "amf", POLICY[0]["spec"])
        client.put("Service", "n2", POLICY[1]["spec"] | {"vips": ["10.102.0.1"]})  # no other test's
        assert client.status()["interfaces"] == {"v0": ["tc"]}
    assert daemon.says("VIP 10.102.0.1 assigned to lo")
    assert daemon.stop() == 0


def test_kernel_types_are_not_needed(daemon: Daemon) -> None:
    """The objects bring their own; a kernel without /sys/kernel/btf loads them."""
    daemon.start(wrap=inside("mount -t tmpfs none /sys/kernel/btf; exec"))
    assert daemon.stop() == 0


def test_missing_interfaces_and_namespaces(daemon: Daemon) -> None:
    """Named, with those that there are; the one that is there is let go again."""
    assert "'nope' does not exist; there are" in refused(daemon, "--interface", "v0", "--interface", "nope")
    assert "network namespace 'nope' does not exist" in refused(daemon, "--netns", "nope")


def test_foreign_xdp_programs_stay(daemon: Daemon, tmp_path: Path) -> None:
    """Named, with its number, and not replaced."""
    run("ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    source = tmp_path / "pass.c"
    source.write_text('__attribute__((section("xdp"))) int foreign(void *c) { return 2; }\n')
    run("clang-14", "-O2", "-target", "bpf", "-c", str(source), "-o", str(tmp_path / "pass.o"))
    run("ip", "link", "set", "x0", "xdp", "obj", str(tmp_path / "pass.o"), "sec", "xdp")
    try:
        line = refused(daemon, "--interface", "v0", "--interface", "x0", "--attach", "xdp")
        assert "x0 already runs XDP program 'foreign' (id " in line
        shown = subprocess.run(["ip", "link", "show"], check=True, capture_output=True, text=True).stdout
        assert shown.count("prog/xdp") == 1
    finally:
        run("ip", "link", "del", "x0")


def test_state_that_cannot_be_used(daemon: Daemon) -> None:
    """Full, read-only, corrupt: policy and journal."""
    full, place = str(daemon.state), "/policy.db"
    assert "is full): make room there" in refused(daemon, wrap=inside(TINY.format(full, "8k", 8192)))
    readonly = f"mkdir -p {full} && mount -t tmpfs -o ro none {full}; exec"
    assert "let root write there" in refused(daemon, wrap=inside(readonly))
    for name, content, sentence in (
        (place, b"\1" * 9000, "file is not a database): restore it"),
        ("/vips.json", b"{", "vips.json cannot be read"),
    ):
        path = Path(full + name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert sentence in refused(daemon)
        assert path.read_bytes() == content
        path.unlink()


def test_pins_need_a_bpf_file_system(daemon: Daemon, tmp_path: Path) -> None:
    """One is mounted where nothing would be hidden by it, and where that is allowed."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    words = daemon.words("--pin-dir", str(tmp_path / "full" / "pins"))
    assert "is no BPF file system and not empty" in said(command(*words), 4)
    assert (tmp_path / "full" / "file").exists()
    weak = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    line = refused(daemon, wrap=[*inside("umount /sys/fs/bpf; exec"), *weak])
    assert "mount a BPF file system at /sys/fs/bpf: Operation not permitted" in line
    with pytest.raises(BpfError, match="cannot be made: No such file"):
        prepare(Path("/proc/a/b"))


def test_sockets_that_cannot_be_had(tmp_path: Path) -> None:
    """A path that is something else or too long, a port that is taken; what is there stays."""
    taken = tmp_path / "file.sock"
    taken.write_text("mine")
    with pytest.raises(HostError, match="a file that is no socket"):
        host.unix_socket(taken)
    assert taken.read_text() == "mine"
    with pytest.raises(HostError, match="path too long"):
        host.unix_socket(tmp_path / ("x" * 200))
    with pytest.raises(HostError, match="File exists"):
        host.unix_socket(taken / "telco.sock")
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(HostError, match=f"{where}: Address already in use"):
            host.tcp_socket(Config(interfaces=["v0"], listen=where))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour: red", "colour: no such setting; interfaces, attach"),
        ("1: 2", "settings are `name: value` lines"),
        ("a: [", "bad.yaml: while parsing"),
        ("associations: many", "associations: 'many'"),
        ("listen: 0.0.0.0:8080", "0.0.0.0:8080 is open to others"),
        ("listen: '[::]:8080'", ":::8080 is open to others"),
        ("listen: here", "ADDRESS:PORT is allowed"),
        ("tls_key: /a", "give both or neither"),
        ("token_sha256: secret", "token_sha256"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    """Each named, with what is known or allowed."""
    path = tmp_path / "bad.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as found:
        load(path, interfaces=["v0"])
    assert sentence in str(found.value)


def test_missing_settings_end_the_command(daemon: Daemon) -> None:
    """With the code of what is refused."""
    assert "No such file" in refused(daemon, "--config", "/nope.yaml", code=2)
    assert "interfaces: none is given" in said(command("serve"), 2)


def test_bad_tls_files(tmp_path: Path) -> None:
    """Missing, no PEM, or of another key."""
    bad, other = tmp_path / "bad.pem", tmp_path / "other"
    bad.write_text("no certificate\n")
    other.mkdir()
    (pem, key), (_, foreign) = certificate(tmp_path), certificate(other)
    for first, second, sentence in (
        ("/nope.pem", key, "/nope.pem cannot be read: No such file"),
        (bad, key, "do not fit: "),
        (pem, foreign, "do not fit: KEY_VALUES_MISMATCH"),
    ):
        with pytest.raises(HostError, match=sentence):
            host.tls(Config(interfaces=["v0"], tls_certificate=first, tls_key=second))
    host.tls(Config(interfaces=["v0"], tls_certificate=pem, tls_key=key))


def test_environment_goes_before_the_file_and_options_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As documented; names apart by commas."""
    path = tmp_path / "own.yaml"
    path.write_text("interfaces: [file0]\nservices: 99\n")
    assert load(path).interfaces == ["file0"]
    monkeypatch.setenv("TELCO_INTERFACES", "env0,env1")
    assert (load(path).interfaces, load(path).services) == (["env0", "env1"], 99)
    assert load(path, interfaces=["option0"]).interfaces == ["option0"]


def test_a_second_daemon_leaves_the_first_alone(daemon: Daemon, tmp_path: Path) -> None:
    """State, pins and socket each have one owner; what a killed one left is taken."""
    daemon.start()
    with daemon.client() as client:
        client.replace(b"[]", yaml_text=False)
        client.put("Pool", "amf", POLICY[0]["spec"])
    other = [
        "--state-dir",
        str(tmp_path / "other"),
        "--pin-dir",
        f"{daemon.pins}-b",
        "--socket",
        f"{daemon.socket}2",
    ]
    pins = Path(f"{daemon.pins}-b")
    for kept, sentence in (
        (other[2:], f"another telco serve uses {daemon.state}"),
        (other[:2] + other[4:], f"another telco serve uses {daemon.pins}"),
        (other[:4], f"a daemon answers at {daemon.socket} already"),
    ):
        assert sentence in said(command(*daemon.words(*kept)), 4)
        assert policy_of(daemon.socket) == [POLICY[0]]
    if pins.exists():
        pins.rmdir()
    daemon.stop(signal.SIGKILL)
    assert daemon.socket.exists()
    daemon.start()
    assert policy_of(daemon.socket) == [POLICY[0]]
    with daemon.client() as client:
        assert client.status()["adopted"] is True


def test_a_full_disk_refuses_the_push_and_keeps_the_policy(daemon: Daemon) -> None:
    """507, in one sentence; old policy and traffic stay, and room brings pushes back."""
    state = daemon.state
    state.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "none", str(state))
    try:
        daemon.start()
        with daemon.client() as client:
            client.put("Pool", "amf", POLICY[0]["spec"])
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={state}/filler", "bs=4k"], check=False, capture_output=True
            )
            spec = {
                "endpoints": [
                    {"name": f"e{i}", "addresses": [f"10.11.{i >> 8}.{i & 255}"]} for i in range(1, 60)
                ]
            }
            with pytest.raises(TelcoError, match="disk is full") as found:
                client.put("Pool", "smf", spec)
            assert getattr(found.value, "status", 0) == 507
            assert [one["name"] for one in client.get("pools")] == ["amf"]
            assert client.ready()
            (state / "filler").unlink()
            assert client.put("Pool", "smf", spec)["changes"] == 1
        assert daemon.stop() == 0
    finally:
        daemon.forget()
        run("umount", str(state))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed one for 127.0.0.1."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=telco", "-addext", "subjectAltName=IP:127.0.0.1"]
    run(*("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(key), "-out", str(pem), "-days", "2", *subject))  # fmt: skip
    return pem, key


def test_tls_and_token_protect_the_listener(daemon: Daemon, tmp_path: Path) -> None:
    """curl, the client and the command line each get in with both, and with less none does; no secret is logged."""
    pem, key = certificate(tmp_path)
    token = "a-long-secret"  # noqa: S105
    digest = hashlib.sha256(token.encode()).hexdigest()
    url = "https://127.0.0.1:18444"
    daemon.start(
        "--listen", "127.0.0.1:18444", tls_certificate=str(pem), tls_key=str(key), token_sha256=digest
    )
    curl = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--cacert",
        str(pem),
        f"{url}/api/v1/status",
    ]
    bearer = ["-H", f"Authorization: Bearer {token}"]
    for more, code in (([], "401"), (["-H", "Authorization: Bearer wrong"], "401"), (bearer, "200")):
        assert subprocess.run(curl + more, check=True, capture_output=True, text=True).stdout == code
    assert httpx.get(f"{url}/readyz", verify=ssl.create_default_context(cafile=pem)).status_code == 200
    with Client(url, token=token, authority=pem) as client:
        assert client.status()["interfaces"] == {"v0": ["tc"]}
    with Client(url, authority=pem) as client, pytest.raises(TelcoError, match="bearer token is required"):
        client.status()
    given = {"TELCO_TOKEN": token, "TELCO_CA": str(pem), "TELCO_AT": url}
    assert command("status", "--json", **given).returncode == 0
    assert "bearer token" in said(command("status", **(given | {"TELCO_TOKEN": ""})), 2)
    assert "certificate verify failed" in said(command("status", **(given | {"TELCO_CA": ""})), 3)
    assert token not in daemon.log()
    assert digest not in daemon.log()
    assert "client=127.0.0.1 path=/api/v1/status reason=token" in daemon.log()


def test_every_decision_is_one_line_of_the_log(daemon: Daemon) -> None:
    """Changes, refusals and warnings, with their reason."""
    daemon.start()
    with daemon.client() as client:
        client.put("Pool", "amf", POLICY[0]["spec"])
        client.put("Service", "n2", POLICY[1]["spec"] | {"vips": ["10.100.0.1", "8.8.8.8"]})
        with pytest.raises(TelcoError):
            client.delete("Pool", "amf")
        client.delete("Service", "n2")
    time.sleep(0.1)
    assert daemon.stop() == 0
    log = daemon.log()
    for line in (
        "INFO policy revision=1 add Pool/amf",
        "WARNING policy revision=2 warning=Service/n2.spec.vips: private and global",
        "WARNING refused reason=Service/n2.spec.pool: amf: a pool of this policy",
        "INFO policy revision=3 remove Service/n2",
    ):
        assert line in log
    assert "Traceback" not in log
