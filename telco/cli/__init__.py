"""The command `telco`. Commands import what they need when they run: `telco --help` starts in 0.2 s."""

import sys

EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_HOST = 2, 3, 4


def main() -> None:
    """Run the command line; an error is one sentence and an exit code, never a trace."""
    from telco.cli.commands import app  # noqa: PLC0415  # typer is slow to import
    from telco.errors import TelcoError  # noqa: PLC0415

    try:
        app()
    except TelcoError as error:
        print(f"telco: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_UNREACHABLE if type(error).__name__ == "UnreachableError" else EXIT_REFUSED)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if type(error).__module__.startswith(("lb.", "free5gc_lab.")):
            print(f"telco: {error}", file=sys.stderr)  # noqa: T201
            sys.exit(EXIT_HOST)
        raise
