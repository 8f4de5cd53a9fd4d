"""The daemon's own settings: a YAML file, overridden by TELCO_… in the environment."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from lb.datapath.attach import Attach
from telco.errors import ConfigError

DEFAULT_FILE = Path("/etc/telco-lb/telco.yaml")


def _names(value: object) -> object:
    return [name for name in value.replace(",", " ").split() if name] if isinstance(value, str) else value


class _Sources:
    file: ClassVar[dict[str, Any]] = {}  # the library asks a class for its sources, not an instance


class Config(BaseSettings):
    """Settings of `telco serve`: options before the environment before the file, which is ``file``."""

    model_config = SettingsConfigDict(env_prefix="TELCO_", extra="forbid")

    def __init__(self, file: dict[str, Any] | None = None, **options: Any) -> None:
        _Sources.file = file or {}
        super().__init__(**options)

    interfaces: Annotated[list[str], NoDecode, BeforeValidator(_names)] = Field(
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Who comes first."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=_Sources.file)

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


def _read(path: Path) -> dict[str, Any]:
    """The settings in a file. Raises ConfigError."""
    try:
        values = yaml.safe_load(path.read_bytes()) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"{path}: settings are `name: value` lines")
    unknown = [name for name in values if name not in Config.model_fields]
    if unknown:
        known = ", ".join(Config.model_fields)
        raise ConfigError(f"{path}: {unknown[0]}: no such setting; {known} are known")
    return values


def load(file: Path | None = None, **overrides: object) -> Config:
    """Settings from a file (the default one if there is none named and it exists). Raises ConfigError."""
    path = file or DEFAULT_FILE
    values = _read(path) if file or path.exists() else {}
    try:
        return Config(values, **{name: value for name, value in overrides.items() if value}).check()
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ConfigError(f"{where}: {found['input']!r}: {found['msg']}") from error
