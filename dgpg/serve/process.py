"""A service as a process: its socket, its signals, its end."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import APIRouter

from dgpg.errors import ConfigError
from dgpg.serve.app import create
from dgpg.serve.log import Lines, Log
from dgpg.serve.protocol import bounded
from dgpg.serve.service import Service
from dgpg.serve.settings import Settings, Tls

GROUP = "dgpg.serve"
"""Entry points to functions that make a router of a service: protocols that a plugin speaks beside `/decide`."""
LAST_S = 10
"""Requests that were begun have so long to end when the process is told to, seconds."""


def run(
    folder: Path,
    settings: Settings,
    host: str,
    port: int,
    protocols: Mapping[str, Mapping[str, str]],
    tls: Tls | None = None,
) -> None:
    """Serve the export in a folder until SIGTERM or SIGINT; what was asked by then is answered.

    Args:
        folder: that `dgpg export` wrote.
        settings: guard rails.
        host: name or address to listen at.
        port: 0 takes a free one, which the log says.
        protocols: settings of entry points of group `dgpg.serve`, by the name of each that is served.
        tls: files that belong together, for HTTPS.

    Raises:
        ConfigError: nothing can listen there, or a protocol is not installed.
        DataError: the folder holds no export.
    """
    log = Log()
    service = Service(folder, settings, log)
    app = create(service, [router(name, service, told) for name, told in protocols.items()])
    server = uvicorn.Server(configured(app, settings, tls))
    logging.getLogger("uvicorn.error").addHandler(Lines(log))
    with _listening(host, port) as sock:
        scheme = "http" if tls is None else "https"
        log.event("listening", scheme=scheme, host=host, port=sock.getsockname()[1], pages="/docs")
        for warning in () if _loopback(host) else _warnings(host, settings, tls):
            log.event("warning", warning=warning)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn raises them once more when it has ended well
        # What overflows is told to who asked, by a DecisionError; the log has lines of JSON alone.
        with np.errstate(all="ignore"):
            server.run(sockets=[sock])


def router(name: str, service: Service, told: Mapping[str, str]) -> APIRouter:
    """The router of a protocol, with its settings.

    Raises:
        ConfigError: no installed plugin speaks it.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise ConfigError(
            f"no installed plugin speaks '{name}'; install the one that does, with its extra of that name"
        )
    made: APIRouter = next(iter(found)).load()(service, told)
    return made


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host} --port {port}: nothing can listen there ({said}); name others") from None


def configured(app: Any, settings: Settings, tls: Tls | None = None) -> uvicorn.Config:
    """How an application is served."""
    return uvicorn.Config(
        app, http=bounded(settings.max_bytes), log_config=None, access_log=False, proxy_headers=False,
        timeout_graceful_shutdown=LAST_S, lifespan="on", **_secret(tls),
    )  # fmt: skip


def _secret(tls: Tls | None) -> dict[str, Any]:
    """The files as uvicorn names them."""
    if tls is None:
        return {}
    asked = ssl.CERT_NONE if tls.clients is None else ssl.CERT_REQUIRED
    return {
        "ssl_certfile": tls.cert, "ssl_keyfile": tls.key, "ssl_ca_certs": tls.clients, "ssl_cert_reqs": asked,
    }  # fmt: skip


def _warnings(host: str, settings: Settings, tls: Tls | None) -> Iterator[str]:
    """Of what others than this machine reach."""
    if tls is not None and tls.clients is not None:
        return
    if settings.token is None:
        yield f"everybody who reaches {host} may ask; a token, --tls-clients or a network rule prevents it"
    elif tls is None:
        yield f"the token travels to {host} readable; --tls-cert and --tls-key prevent it"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
