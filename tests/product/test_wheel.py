"""The wheel alone is enough: it has what belongs in it, and serves where there is neither compiler nor checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
READY_S = 20.0
POLICY = """
kind: Pool
name: amf
spec: {endpoints: [{name: amf-1, addresses: [10.11.0.2], port: 38412}], probe: {type: none}}
---
kind: Service
name: n2
spec: {vips: [10.100.0.1], protocol: sctp, port: 38412, mode: fullnat, pick: maglev, pool: amf}
"""


def run(*words: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """A command that must succeed; what it printed."""
    argv = [str(word) for word in words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; of what is around it, it sees the dependencies, not the checkout."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", wheel)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


@pytest.fixture
def interfaces() -> Iterator[str]:
    """A namespace with a pair of veths to the clients' and one to the endpoints' side, by name."""
    name = f"wheel-{uuid4().hex[:6]}"
    run("ip", "netns", "add", name)
    for number, subnet in enumerate(("10.1.0", "10.11.0")):
        run("ip", "-n", name, "link", "add", f"v{number}", "type", "veth", "peer", "name", f"p{number}")
        run("ip", "-n", name, "link", "set", f"v{number}", "up")
        run("ip", "-n", name, "link", "set", f"p{number}", "up")
        run("ip", "-n", name, "addr", "add", f"{subnet}.1/24", "dev", f"v{number}")
    yield name
    run("ip", "netns", "del", name)


def test_wheel_has_programs_unit_manual_and_licence(wheel: Path) -> None:
    """And nothing of the tests; its one dependency with a C library is the lab's."""
    content = zipfile.ZipFile(wheel)
    names = set(content.namelist())
    info, data = (f"telco_lb-0.1.0.{part}" for part in ("dist-info", "data/data"))
    assert {f"lb/datapath/objects/{name}.bpf.o" for name in ("xdp", "tc", "control")} <= names
    assert f"{data}/lib/systemd/system/telco-lb.service" in names
    assert f"{data}/share/man/man8/telco.8" in names
    assert f"{data}/share/doc/telco-lb/operations.md" in names
    assert not [name for name in names if name.startswith(("tests", "bench", "build"))]
    assert b"GNU GENERAL PUBLIC LICENSE" in content.read(f"{info}/licenses/LICENSE")
    said = message_from_bytes(content.read(f"{info}/METADATA"))
    assert said["License-Expression"] == "GPL-2.0-only"
    assert [one for one in said.get_all("Requires-Dist", []) if "sctp" in one] == [
        "pysctp>=0.7.3; extra == 'lab'"
    ]


def test_manual_names_every_command(installed: Path) -> None:
    """What `telco --help` lists, telco(8) describes."""
    described = (installed / "share" / "man" / "man8" / "telco.8").read_text()
    shown = json.loads(
        run(
            installed / "bin" / "python",
            "-c",
            "import json; from telco.cli.commands import app; import typer\n"
            "print(json.dumps(list(typer.main.get_command(app).commands)))",
        )
    )
    assert len(shown) > 8
    assert [command for command in shown if f".It Cm {command}\n" not in described] == []


@pytest.mark.root
def test_wheel_serves_without_a_compiler(installed: Path, interfaces: str, tmp_path: Path) -> None:
    """Only the commands of the environment are in PATH; the objects are the wheel's own."""
    commands = {**os.environ, "PATH": str(installed / "bin"), "TELCO_AT": str(tmp_path / "socket")}
    telco, pins = installed / "bin" / "telco", Path("/sys/fs/bpf", interfaces)
    words = [str(telco), "serve", "--netns", interfaces, "-i", "v0", "-i", "v1", "--pin-dir", str(pins)]
    words += ["--state-dir", str(tmp_path / "state"), "--socket", str(tmp_path / "socket")]
    policy = tmp_path / "n2.yaml"
    policy.write_text(POLICY)
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(words, env=commands, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until = time.monotonic() + READY_S
        asked = [str(telco), "status"]
        while subprocess.run(asked, env=commands, capture_output=True, check=False).returncode:
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, (tmp_path / "log").read_text()
        run(telco, "apply", "-f", policy, env=commands)
        status = json.loads(run(telco, "status", "--json", env=commands))
        assert set(status["interfaces"]) == {"v0", "v1"}
        where = "from lb.datapath.objects import object_directory as d; print(d())"
        assert run(installed / "bin" / "python", "-c", where, cwd=tmp_path).startswith(str(installed))
    finally:
        daemon.terminate()
        daemon.wait(timeout=20)
        for entry in sorted(pins.rglob("*"), reverse=True):
            entry.rmdir() if entry.is_dir() else entry.unlink()
        pins.rmdir()
