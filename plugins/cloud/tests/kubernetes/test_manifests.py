"""The manifests in plugins/cloud/deploy: they parse, fit each other, and allow what is asked for and no more."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dgpg.cli import app

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
client = pytest.importorskip("kubernetes.client", reason="the extra `kubernetes` is not installed")

from dgpg_cloud.kubernetes.cluster import Cluster  # noqa: E402
from dgpg_cloud.kubernetes.protocol import MAX_PRIORITY  # noqa: E402
from dgpg_cloud.kubernetes.reflector import Backoff  # noqa: E402
from dgpg_cloud.kubernetes.settings import Settings  # noqa: E402
from dgpg_cloud.kubernetes.watching import Watcher  # noqa: E402

from .api_server import ApiServer  # noqa: E402
from .objects import eventually, node, pod  # noqa: E402
from .test_reflector import api  # noqa: E402

FOLDER = Path(__file__).parents[2] / "deploy"
MODES = ("shadow", "live")
KINDS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def base() -> Iterator[dict[str, Any]]:
    listed = documents(FOLDER / "base" / "kustomization.yaml")[0]["resources"]
    assert {path.name for path in (FOLDER / "base").iterdir()} == {*listed, "kustomization.yaml"}
    for name in listed:
        yield from documents(FOLDER / "base" / name)


def of(kind: str, name: str) -> dict[str, Any]:
    (found,) = [x for x in base() if x["kind"] == kind and x["metadata"]["name"] == name]
    return found


def extender(mode: str) -> dict[str, Any]:
    (found,) = documents(FOLDER / mode / "scheduler.yaml")[0]["extenders"]
    assert isinstance(found, dict)
    return found


def test_every_object_has_the_version_of_its_kind_and_a_name_of_its_own() -> None:
    seen = [(x["kind"], x["metadata"]["name"]) for x in base()]
    assert len(set(seen)) == len(seen)
    assert all(x["apiVersion"] == KINDS[x["kind"]] for x in base())


def test_the_client_can_read_every_object() -> None:
    """The classes of the official client refuse values of another type."""
    for thing in base():
        found = getattr(client, f"V1{thing['kind']}").from_dict(thing)
        assert found.metadata.name == thing["metadata"]["name"]


def test_rights_are_exactly_those_of_the_requests() -> None:
    """Against a server that refuses what the role does not allow; and every right of it is used."""
    (rule,) = of("ClusterRole", "dgpg-extender")["rules"]
    allowed = {(verb, resource) for verb in rule["verbs"] for resource in rule["resources"]}
    with ApiServer(allowed=allowed) as server:
        server.put("nodes", node("a"))
        watcher = Watcher(api(server), Cluster(Settings()), Backoff(0.01, 0.05))
        watcher.start()
        eventually(lambda: len(server.streams) == 2 and watcher.behind == 0)
        server.put("pods", pod("p", "a"))
        server.compact()  # and whatever starting over asks for
        eventually(lambda: all(reflector.relists == 2 for reflector in watcher.reflectors))
        watcher.stop()
    assert set(server.asked) == allowed
    assert rule["apiGroups"] == [""] and set(rule) == {"apiGroups", "resources", "verbs"}


def test_bindings_name_accounts_and_roles_that_are_there() -> None:
    own = {(x["kind"], x["metadata"]["name"]) for x in base()}
    built_in = {("ClusterRole", "system:kube-scheduler"), ("ClusterRole", "system:volume-scheduler")}
    for binding in (x for x in base() if x["kind"].endswith("Binding")):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in own | built_in
        for subject in binding["subjects"]:
            assert subject["namespace"] == "dgpg" and ("ServiceAccount", subject["name"]) in own


@pytest.mark.parametrize("name", ["dgpg-extender", "dgpg-scheduler"])
def test_deployments_run_with_the_least(name: str) -> None:
    template = of("Deployment", name)["spec"]["template"]
    assert template["metadata"]["labels"] == of("Deployment", name)["spec"]["selector"]["matchLabels"]
    assert template["spec"]["serviceAccountName"] == name
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in template["spec"]["containers"]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
        assert own["capabilities"] == {"drop": ["ALL"]} and "requests" in container["resources"]


@pytest.mark.parametrize("mode", MODES)
def test_kube_scheduler_finds_the_extender(mode: str) -> None:
    (config,) = documents(FOLDER / mode / "scheduler.yaml")
    assert (config["apiVersion"], config["kind"]) == ("kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration")
    told, service = extender(mode), of("Service", "dgpg-extender")
    (port,) = service["spec"]["ports"]
    assert told["urlPrefix"] == f"http://{service['metadata']['name']}.dgpg.svc:{port['port']}"
    assert (told["filterVerb"], told["prioritizeVerb"]) == ("filter", "prioritize")
    assert told["httpTimeout"] == "5s" and told["nodeCacheCapable"] and told["ignorable"]
    deployment = of("Deployment", "dgpg-extender")["spec"]["template"]
    assert service["spec"]["selector"].items() <= deployment["metadata"]["labels"].items()
    (container,) = deployment["spec"]["containers"]
    assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]
    assert container["args"][container["args"].index("--port") + 1] == str(port["port"])
    lease = of("Role", "dgpg-scheduler")["rules"][1]["resourceNames"]
    assert [config["leaderElection"]["resourceName"]] == lease


def test_in_shadow_kube_scheduler_is_as_ever_and_live_the_policy_stands_for_what_it_replaces() -> None:
    shadow, live = (documents(FOLDER / mode / "scheduler.yaml")[0] for mode in MODES)
    assert "plugins" not in shadow["profiles"][0]
    disabled = {plugin["name"] for plugin in live["profiles"][0]["plugins"]["score"]["disabled"]}
    assert disabled == {"NodeResourcesFit", "NodeResourcesBalancedAllocation"}
    # kube-scheduler stretches 0 to 10 to 0 to 100: a level weighs as much as a plugin of weight 1 from worst to best.
    assert extender("live")["weight"] * 100 / MAX_PRIORITY == 100
    (patch,) = documents(FOLDER / "shadow" / "kustomization.yaml")[0]["patches"]
    assert yaml.safe_load(patch["patch"]) == [
        {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--shadow"}
    ]


@pytest.mark.parametrize("mode", MODES)
def test_an_overlay_names_files_that_are_there_and_config_maps_that_are_mounted(mode: str) -> None:
    (told,) = documents(FOLDER / mode / "kustomization.yaml")
    assert told["resources"] == ["../base"] and told["namespace"] == "dgpg"
    for generated in told["configMapGenerator"]:
        assert all((FOLDER / mode / name).is_file() for name in generated["files"])
        volumes = of("Deployment", "dgpg-scheduler")["spec"]["template"]["spec"]["volumes"]
        assert [volume["configMap"]["name"] for volume in volumes] == [generated["name"]]


def added(thing: dict[str, Any], patch: str) -> dict[str, Any]:
    """An object after the additions of a JSON patch."""
    found = copy.deepcopy(thing)
    for one in yaml.safe_load(patch):
        assert one["op"] == "add"
        *path, last = one["path"].removeprefix("/").split("/")
        at: Any = found
        for step in path:
            at = at[int(step) if isinstance(at, list) else step]
        if isinstance(at, list):
            assert last == "-"
            at.append(one["value"])
        else:
            at[last] = one["value"]
    return found


def test_with_tls_the_service_and_kube_scheduler_have_the_files_that_they_are_told_of() -> None:
    """Options are those of `dgpg serve`, probes speak HTTPS, and everything named is mounted from one secret."""
    (told,) = documents(FOLDER / "tls" / "kustomization.yaml")
    patched = {patch["target"]["name"]: added(of(**patch["target"]), patch["patch"]) for patch in told["patches"]}
    pod_spec = patched["dgpg-extender"]["spec"]["template"]["spec"]
    (container,) = pod_spec["containers"]
    options = {option for one in get_command(app).commands["serve"].params for option in one.opts}
    files = dict(argument.split("=") for argument in container["args"] if argument.startswith("--tls"))
    assert files == {"--tls-cert": "/tls/tls.crt", "--tls-key": "/tls/tls.key"} and files.keys() <= options
    assert all(container[f"{probe}Probe"]["httpGet"]["scheme"] == "HTTPS" for probe in ("readiness", "liveness"))
    for name, place in (("dgpg-extender", "/tls"), ("dgpg-scheduler", "/etc/dgpg-tls")):
        assert client.V1Deployment.from_dict(patched[name])
        spec = patched[name]["spec"]["template"]["spec"]
        (mount,) = [x for x in spec["containers"][0]["volumeMounts"] if x["mountPath"] == place]
        (volume,) = [x for x in spec["volumes"] if x["name"] == mount["name"]]
        assert mount["readOnly"] and volume["secret"]["secretName"] == "dgpg-extender-tls"
    items = volume["secret"]["items"]
    assert [f"{place}/{one['path']}" for one in items] == ["/etc/dgpg-tls/ca.crt"]
    assert "caFile: /etc/dgpg-tls/ca.crt" in (FOLDER / "tls" / "kustomization.yaml").read_text()
