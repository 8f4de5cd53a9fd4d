"""The command line and the Python client against a running daemon: views, filters, exit codes, completion."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from telco.api.examples import POLICY
from telco.cli.wanted import events
from telco.client import ApiError, Client, UnreachableError
from telco.errors import ConflictError, NotFoundError, PolicyError
from tests.datapath.packets import data, sctp
from tests.product.conftest import ROOT, TELCO, Daemon, command

pytestmark = pytest.mark.root


@pytest.fixture
def policy(running: Daemon, tmp_path: Path) -> Path:
    """The example in a file and in the daemon."""
    path = tmp_path / "n2.yaml"
    path.write_text(yaml.safe_dump_all(POLICY))
    with running.client() as client:
        client.replace(path.read_bytes())
    return path


def test_every_question_answers_in_json_and_in_words(running: Daemon, policy: Path) -> None:
    """Both with exit code 0; JSON is one value on any output."""
    asked: list[list[str]] = [
        ["apply", "-f", str(policy)],
        ["diff", "-f", str(policy), "--prune"],
        ["get", "pools"],
        ["get", "service", "n2"],
        ["get", "associations"],
        ["status"],
        ["stats"],
    ]
    for words in asked:
        for more in ([], ["--json"]):
            found = running.telco(*words, *more)
            assert (found.returncode, found.stderr) == (0, ""), (words, found)
            assert not more or json.loads(found.stdout) is not None
            assert more or found.stdout


def test_resources_have_four_views(running: Daemon, policy: Path) -> None:
    """What yaml and json show can be applied as it is; tables tell what is observed."""
    table = running.telco("get", "services").stdout
    assert all(
        word in table for word in ("n2", "10.101.0.1", "sctp 38412", "fullnat", "maglev", "associations")
    )
    assert "10.12.0.2 up" in running.telco("get", "pools").stdout
    assert running.telco("get", "pools", "-o", "name").stdout == "Pool/amf\n"
    for view in ("yaml", "json"):
        shown = running.telco("get", "services", "n2", "-o", view).stdout
        again = policy.with_suffix(".again")
        again.write_text(shown)
        assert running.telco("apply", "-f", str(again)).stdout.startswith("0 changes")
        assert yaml.safe_load(shown) is not None
    long = [{"name": f"e{i}", "addresses": [f"10.11.7.{i}"]} for i in range(1, 100)]
    with running.client() as client:
        client.put("Pool", "long", {"endpoints": long})
        assert (
            yaml.safe_load(running.telco("get", "pools", "long", "-o", "yaml").stdout)["spec"]["endpoints"]
            == long
        )
        client.delete("Pool", "long")


def test_exit_codes_are_as_documented(running: Daemon, policy: Path) -> None:
    """0 done, 1 there are changes, 2 refused or wrongly asked, 3 no daemon."""
    wrong = policy.with_name("wrong.yaml")
    wrong.write_text("kind: Pool\nname: amf\nspec: {endpoints: [], colour: red}\n")
    other = policy.with_name("other.yaml")
    other.write_text("kind: Pool\nname: smf\nspec: {endpoints: []}\n")
    for words, code, sentence in (
        (["diff", "-f", str(policy), "--exit-code"], 0, ""),
        (["diff", "-f", str(other), "--exit-code"], 1, ""),
        (
            ["apply", "-f", str(wrong)],
            2,
            "telco: Pool/amf.spec.colour: 'red': no such field; endpoints, probe",
        ),
        (["apply", "-f", "/nope"], 2, "telco: /nope: No such file"),
        (["get", "routers"], 2, "telco: kind 'routers' is unknown: Pool, Service are known"),
        (["get", "pools", "smf"], 2, "telco: Pool 'smf' does not exist"),
        (["delete", "pool", "amf"], 2, "telco: Service/n2.spec.pool: amf: a pool of this policy"),
        (["trace", "--address", "here"], 2, "telco: --address: 'here': an IPv4 or IPv6 address"),
        (["trace", "--tag", "xyz"], 2, "telco: --tag: 'xyz': hexadecimal digits"),
    ):
        found = running.telco(*words)
        assert (found.returncode, found.stderr.startswith(sentence)) == (code, True), (words, found)
        assert "Traceback" not in found.stderr
    absent = command("status", "--at", "/nope.sock")
    assert absent.returncode == 3
    assert absent.stderr == (
        "telco: no daemon answers at /nope.sock ([Errno 2] No such file or directory): is `telco serve` running?\n"
    )
    assert command("status", "--no-such-option").returncode == 2


def listening(running: Daemon, *words: str) -> "subprocess.Popen[str]":
    """A command that goes on, once it listens."""
    made = subprocess.Popen(
        [*TELCO, *words, "--at", str(running.socket)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    time.sleep(2)
    return made


def lines(made: "subprocess.Popen[str]") -> list[str]:
    """What it printed; interrupted, it ends with 130 and no trace."""
    made.send_signal(signal.SIGINT)
    said, _ = made.communicate(timeout=20)
    assert made.returncode == 130
    return said.splitlines()


def send(packet: bytes) -> None:
    """On the wire to the balancer."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("p0", 0))
        wire.send(packet)


def test_trace_shows_drops_by_name_and_filters(running: Daemon, policy: Path) -> None:
    """By service (drops have none yet: by its VIPs), by address, by tag."""
    fits, other = listening(running, "trace", "--json", "--service", "n2"), ["--address", "10.1.0.7"]
    misses = listening(running, "trace", "--json", *other)
    send(sctp("10.1.0.2", "10.100.0.1", 38412, 38412, 0x11223344, data()))
    time.sleep(1)
    assert lines(misses) == []
    (event,) = [json.loads(line) for line in lines(fits)]
    assert (event["kind"], event["reason"], event["source"]) == ("trace", "ootb", "10.1.0.2")
    with running.client() as client:
        for chosen, shown in (
            ({"address": "10.100.0.1"}, True),
            ({"tag": "0x11223344"}, True),
            ({"tag": "1"}, False),
            ({"service": "n2", "address": "10.1.0.3"}, False),
        ):
            wanted = {"service": None, "address": None, "tag": None, **chosen}
            assert events(client, **wanted)(event) is shown, chosen


def test_watch_gives_one_line_of_json_each_time(running: Daemon, policy: Path) -> None:
    """For programs that read along."""
    made = listening(running, "associations", "--watch", "--json")
    time.sleep(1.5)
    found = lines(made)
    assert len(found) >= 2
    assert set(found) == {"[]"}


def test_bcc_says_what_is_missing() -> None:
    """In one sentence; or runs, where the distribution's BCC and the headers are there."""
    try:
        found = command("trace", "--bcc")
    except subprocess.TimeoutExpired:
        return
    assert found.returncode == 4
    assert found.stderr.startswith("telco: telco trace --bcc needs the ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_complete(shell: str) -> None:
    """The script calls the command back, which answers."""
    found = command("completion", shell)
    assert found.returncode == 0
    assert "_TELCO_COMPLETE" in found.stdout
    if shell == "bash":
        own = subprocess.run(
            [
                "bash",
                "-c",
                f'eval "$(cat)"; telco() {{ {sys.executable} -m telco "$@"; }}; complete -p telco',
            ],
            input=found.stdout,
            check=True,
            capture_output=True,
            text=True,
        )
        assert own.stdout.startswith("complete ")
    asked = {"_TELCO_COMPLETE": f"complete_{shell}", "COMP_WORDS": "telco st", "COMP_CWORD": "1"}
    answered = command(**asked, _TYPER_COMPLETE_ARGS="telco st", _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert "status" in answered.stdout
    assert "stats" in answered.stdout


def test_every_command_explains_itself() -> None:
    """And each of its options and arguments."""
    shown = command("--help").stdout
    words = "serve, apply, diff, get, delete, status, associations, stats, trace, completion, bench, lab"
    for name in words.split(", "):
        assert name in shown
    assert "Exit codes: 0 done" in " ".join(shown.split())


def test_client_gives_problems_as_exceptions(running: Daemon, policy: Path) -> None:
    """With their fields, and the types that the server has for them."""
    with running.client() as client:
        revision = client.status()["revision"]
        with pytest.raises(PolicyError) as found:
            client.merge(b"kind: Service\nname: n2\nspec: {vips: [x], port: 0, pool: amf}")
        assert {problem.field for problem in found.value.problems} == {"Service/n2.spec.port"}
        with pytest.raises(ConflictError, match=f"the policy is at {revision}"):
            client.delete("Service", "n2", revision=revision - 1)
        with pytest.raises(NotFoundError, match="'smf' does not exist"):
            client.get("Pool", "smf")
        with pytest.raises(ApiError, match="Not Found"):
            client.get("Pool", "../policy")
        with pytest.raises(ApiError, match="Not Found") as refused:
            client._call("GET", "/nowhere")
        assert (refused.value.status, refused.value.type) == (404, "http-404")
        assert client.get("Pool", "amf")[0]["status"]["endpoints"][0]["addresses"]["10.11.0.2"] == "up"
        assert [one["name"] for one in client.policy()] == ["amf", "n2"]
        assert client.stats()["paths"] == []


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # httpcore leaves it to the collector
def test_client_says_when_no_daemon_answers() -> None:
    """And where it asked."""
    with Client("/nope.sock") as client:
        assert not client.ready()
        with pytest.raises(UnreachableError, match=r"no daemon answers at /nope\.sock"):
            client.status()


def test_metrics_are_prometheus_and_name_no_association(running: Daemon, policy: Path) -> None:
    """Names by convention: units, totals of counters; labels of bounded number."""
    with running.client() as client:
        page: Any = client._call("GET", "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(page)}
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels == {"service", "pool", "endpoint", "address", "direction", "reason", "kind"}
    for name, family in families.items():
        assert name.startswith(("telco_", "process_"))
        assert family.documentation
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample
    assert {one.labels["service"] for one in families["telco_service_packets"].samples} == {"n2"}
    assert families["telco_endpoint_associations"].samples[0].labels == {"pool": "amf", "endpoint": "amf-1"}
    assert families["telco_policy_applied"].samples[0].value == 1
    assert "ootb" in {one.labels["reason"] for one in families["telco_drops"].samples}


def test_units_are_valid_and_tight() -> None:
    """By systemd's own judgement."""
    unit = ROOT / "packaging" / "telco-lb.service"
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=40", str(unit)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    assert judged.returncode == 0, judged.stdout[-300:] + judged.stderr
