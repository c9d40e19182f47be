"""Nodes and pods of a cluster, watched."""

from __future__ import annotations

from functools import partial
from typing import Any

from dgpg.errors import ConfigError
from dgpg_cloud.kubernetes.cluster import Cluster, Written
from dgpg_cloud.kubernetes.reflector import USUAL, Backoff, Reflector

ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that hold or want something, as kube-scheduler selects them; one that ends is told of as deleted."""


class Watcher:
    """Keeps a cluster's nodes and pods up to date."""

    def __init__(self, api: Any, cluster: Cluster, backoff: Backoff = USUAL) -> None:
        """With a `CoreV1Api` of `kubernetes.client`."""
        self.cluster = cluster
        silent, gap = cluster.settings.silent_s, cluster.settings.stale_s
        pods = partial(api.list_pod_for_all_namespaces, field_selector=ALIVE)
        self._stores = (Written(cluster, cluster.nodes), Written(cluster, cluster.pods))
        self.reflectors = (
            Reflector("nodes", api.list_node, self._stores[0], silent, gap, backoff),
            Reflector("pods", pods, self._stores[1], silent, gap, backoff),
        )

    def start(self) -> None:
        """In threads; those that run go on, those that died are made again."""
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """End them."""
        for reflector in self.reflectors:
            reflector.stop()

    @property
    def behind(self) -> float:
        """Seconds for which the picture may be old; inf before there is one."""
        return max(reflector.behind for reflector in self.reflectors)

    @property
    def strange(self) -> int:
        """Objects that could not be read."""
        return sum(store.strange for store in self._stores)


def connected(kubeconfig: str | None = None) -> Any:
    """A `CoreV1Api`: of the pod's own service account, or of a kubeconfig.

    Raises:
        ConfigError: neither is there.
    """
    from kubernetes import client, config

    try:
        if kubeconfig is None:
            try:
                config.load_incluster_config()
            except config.ConfigException:
                config.load_kube_config()
        else:
            config.load_kube_config(kubeconfig)
    except (config.ConfigException, OSError) as error:
        raise ConfigError(
            f"Kubernetes: no API server to watch ({error}); run in a pod with a service account, or name a kubeconfig "
            "by KUBECONFIG"
        ) from None
    return client.CoreV1Api()
