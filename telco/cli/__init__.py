"""The command `telco`. Commands import what they need when they run: `telco --help` starts in 0.2 s."""

import gc
import os
import sys
from typing import NoReturn

EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_HOST = 2, 3, 4


def _run(words: list[str]) -> None:
    from telco.cli.serve import plain, serve  # noqa: PLC0415

    if words[:1] == ["serve"] and (given := plain(words[1:])) is not None:
        serve(given)
        return
    from telco.cli.commands import app  # noqa: PLC0415  # typer is slow to import

    gc.enable()
    app()


def main() -> None:
    """Run the command line; an error is one sentence and an exit code, never a trace."""
    from telco.errors import TelcoError  # noqa: PLC0415

    gc.disable()  # nothing that importing makes is garbage
    try:
        _run(sys.argv[1:])
    except TelcoError as error:
        _end(error, _CODES.get(type(error).__name__, EXIT_REFUSED))
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter complains at its end
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _end(error, EXIT_HOST)
    except Exception as error:
        if type(error).__module__.startswith(("lb.", "free5gc_lab.")):
            _end(error, EXIT_HOST)
        raise


_CODES = {"UnreachableError": EXIT_UNREACHABLE, "HostError": EXIT_HOST, "StoreError": EXIT_HOST}


def _end(error: Exception, code: int) -> NoReturn:
    print(f"telco: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(code)
