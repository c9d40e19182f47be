"""A policy places the pods of a Kubernetes cluster: a scheduler extender beside `/decide`.

`dgpg serve DIR --kubernetes`, `pip install 'dgpg-plugin-cloud[kubernetes]'`. `reflector` and `watching` keep `cluster`
up to date; `extender` answers calls in the JSON of `protocol`; `web` is the extender over HTTP.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from dgpg.errors import ConfigError

NEEDED = ("kubernetes", "msgspec")


def router(service: Any, told: Mapping[str, str]) -> Any:
    """The entry point `kubernetes` of group `dgpg.serve`: routes of a service, with settings as text.

    Raises:
        ConfigError: the extra is not installed, the export is of another domain, a setting is wrong, or there is no
            cluster.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"--kubernetes needs {', '.join(missing)}: pip install 'dgpg-plugin-cloud[kubernetes]'")
    from dgpg.serve.log import Lines
    from dgpg_cloud.kubernetes.extender import extending, refuse_others
    from dgpg_cloud.kubernetes.settings import LOG, Settings
    from dgpg_cloud.kubernetes.watching import connected
    from dgpg_cloud.kubernetes.web import routes

    settings = Settings.read(told)
    refuse_others(service.current)
    LOG.addHandler(Lines(service.log))
    return routes(*extending(service, settings, connected()))
