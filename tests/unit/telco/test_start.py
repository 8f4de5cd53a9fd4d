"""A daemon that restarts must be ready soon: what it does not need for that is not loaded."""

import subprocess
import sys

import pytest
from typer.main import get_command

from telco.cli.commands import app
from telco.cli.serve import MANY, OPTIONS, plain

LATER = ("typer", "rich", "click", "pyroute2", "prometheus_client", "protocols.sctp", "httpx", "websockets")


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after it."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_daemon_loads_what_it_needs_to_be_ready() -> None:
    """Uvicorn itself loads click; nothing else of these."""
    loaded = loaded_by("import telco.config, telco.daemon, telco.cli.serve")
    assert "fastapi" in loaded
    assert loaded & set(LATER) <= {"click"}


def test_plain_options_are_those_of_the_library() -> None:
    """The same names, and no more of them take a list."""
    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]  # of a group
    options = {
        option: parameter.name for parameter in command.params for option in parameter.opts if parameter.name
    }
    assert {option: name for option, name in options.items() if option != "--help"} == OPTIONS
    assert {parameter.name for parameter in command.params if parameter.multiple} == MANY


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("-i eth1 --interface eth2", {"interface": ["eth1", "eth2"]}),
        (
            "-c a.yaml --state-dir /s --listen [::1]:80",
            {"config": "a.yaml", "state_dir": "/s", "listen": "[::1]:80"},
        ),
        ("--attach tc --attach xdp", {"attach": "xdp"}),
        ("--help", None),
        ("--attach=tc", None),
        ("--attach --netns", None),
        ("--attach", None),
        ("--what tc", None),
        ("eth1 eth2", None),
    ],
)
def test_only_what_is_plain_is_taken(words: str, given: dict[str, object] | None) -> None:
    """Everything else is the library's to understand or to refuse."""
    assert plain(words.split()) == given


def test_a_refused_setting_is_one_sentence(tmp_path: object) -> None:
    """Without the library, too."""
    command = [sys.executable, "-m", "telco", "serve", "--config", f"{tmp_path}/none.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("telco: ")
    assert "none.yaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1
