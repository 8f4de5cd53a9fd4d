"""The daemon's own settings: a YAML file, overridden by TELCO_… in the environment."""

import ipaddress
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lb.datapath.attach import Attach
from telco.errors import ConfigError

DEFAULT_FILE = Path("/etc/telco-lb/telco.yaml")


class Config(BaseSettings):
    """Settings of `telco serve`."""

    model_config = SettingsConfigDict(env_prefix="TELCO_", extra="forbid")

    interfaces: list[str] = Field(
        default=[], description="where traffic arrives, clients' and endpoints' side"
    )
    attach: Attach = Attach.AUTO
    netns: str | None = Field(default=None, description="network namespace of the interfaces")
    state_dir: Path = Path("/var/lib/telco-lb")
    pin_dir: Path = Path("/sys/fs/bpf/telco-lb")
    socket: Path = Path("/run/telco-lb/telco.sock")
    listen: str | None = Field(default=None, description="ADDRESS:PORT for TCP beside the socket")
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    token_sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="of the bearer token"
    )
    associations: Annotated[int, Field(ge=64, le=4_194_304)] = 65_536
    services: Annotated[int, Field(ge=16, le=1_048_576)] = 131_072
    max_body_mb: Annotated[int, Field(ge=1, le=1024)] = 64
    requests_per_second: Annotated[int, Field(ge=1)] = 200

    def check(self) -> "Config":
        """Refuse to listen beyond the machine unprotected. Raises ConfigError."""
        if not self.interfaces:
            raise ConfigError("interfaces: none is given: name those where clients and endpoints are")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("tls_certificate and tls_key: give both or neither")
        if self.listen is not None:
            host, port = self.address()
            protected = self.tls_certificate is not None or self.token_sha256 is not None
            if not ipaddress.ip_address(host).is_loopback and not protected:
                raise ConfigError(
                    f"listen: {host}:{port} is open to others: set tls_certificate and tls_key, or token_sha256"
                )
        return self

    def address(self) -> tuple[str, int]:
        """``listen`` taken apart. Raises ConfigError."""
        host, _, port = (self.listen or "").rpartition(":")
        try:
            ipaddress.ip_address(host.strip("[]"))
            if not 0 < int(port) <= 65_535:
                raise ValueError(port)  # noqa: TRY301  # one place tells what is allowed
        except ValueError as error:
            raise ConfigError(
                f"listen: {self.listen!r}: ADDRESS:PORT is allowed, as in 127.0.0.1:8080"
            ) from error
        return host.strip("[]"), int(port)


def load(file: Path | None = None, **overrides: object) -> Config:
    """Settings from a file (the default one if there is none named and it exists). Raises ConfigError."""
    path = file or DEFAULT_FILE
    values: object = {}
    if file or path.exists():
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: settings are `name: value` lines")
    try:
        return Config(**(values | {name: value for name, value in overrides.items() if value})).check()
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ConfigError(f"{where}: {found['input']!r}: {found['msg']}") from error
