"""`python -m telco` is `telco`."""

from telco.cli import main

main()
