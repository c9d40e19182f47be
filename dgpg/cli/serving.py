"""What `dgpg serve` asks for, as settings of a service."""

from __future__ import annotations

import importlib.util
import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgpg.errors import ConfigError

if TYPE_CHECKING:
    from dgpg.serve import Tls

NEEDED = ("fastapi", "uvicorn", "httptools", "msgspec", "prometheus_client", "onnxruntime")
TOKEN = "DGPG_TOKEN"
"""Environment variable with the token, where no file is named."""


def installed() -> None:
    """ConfigError where the extra is not."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"serve needs {', '.join(missing)}: pip install 'dgpg[serve]'")


def protocols(names: Sequence[str], sets: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Settings `PROTOCOL.NAME=VALUE` by protocol, as text: what they mean its plugin knows.

    Raises:
        ConfigError: one is of no protocol that is served, or has no value.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in sets:
        path, equals, value = text.partition("=")
        protocol, _, name = path.partition(".")
        if protocol not in found or not name or not equals:
            served = ", ".join(f"{one}.NAME=VALUE" for one in names) or "which is nothing: kubernetes with --kubernetes"
            raise ConfigError(f"--set {text}: expected a setting of what is served beside /decide ({served})")
        found[protocol][name] = value
    return found


def token(file: Path | None) -> str | None:
    """What requests must show; never an option, as a list of processes shows those.

    Raises:
        ConfigError: the file cannot be read, or holds nothing.
    """
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error})") from None
    if not said:
        raise ConfigError(f"--token-file {file}: it is empty; write a token into it")
    return said


def tls(cert: Path | None, key: Path | None, clients: Path | None) -> Tls | None:
    """What HTTPS is served with; None for HTTP.

    Raises:
        ConfigError: one without the other, a file that cannot be read or is no PEM, or two that do not belong together.
    """
    if cert is None and key is None and clients is None:
        return None
    if cert is None or key is None:
        raise ConfigError(
            "--tls-cert and --tls-key go together, and --tls-clients with both: name all of them, or none to serve HTTP"
        )
    for option, file in (("--tls-cert", cert), ("--tls-key", key)):
        _pem(option, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty passphrase: without one OpenSSL would ask for it at the terminal.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"--tls-cert {cert} --tls-key {key}: {_trouble(error)}") from None
    if clients is not None:
        _pem("--tls-clients", clients)
        try:
            context.load_verify_locations(clients)
        except ssl.SSLError as error:
            raise ConfigError(f"--tls-clients {clients}: no certificate in it ({error.reason or error})") from None
    from dgpg.serve import Tls

    return Tls(cert, key, clients)


def _pem(option: str, file: Path) -> None:
    """ConfigError unless a file looks like PEM."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option} {file}: cannot be read ({error.strerror})") from None
    if b"-----BEGIN " not in text:
        raise ConfigError(f"{option} {file}: not PEM; expected text that begins with -----BEGIN")


def _trouble(error: Exception) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate (of several in the file the first counts)"
    return f"no certificate with its unencrypted private key ({reason})"
