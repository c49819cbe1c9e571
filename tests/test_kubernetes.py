"""The manifests in deploy/kubernetes agree with the program, with each other and with docs/kubernetes.md.

What kustomize makes of them is checked where KUBECTL names a kubectl, as scripts/check does; no cluster is needed.
"""

import inspect
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from bridge.config import Config, load
from bridge.web.probes import Probes

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kubernetes"
BASE, PAIR, FLEET = FOLDER / "base", FOLDER / "overlays" / "pair", FOLDER / "overlays" / "fleet"
NETWORK = FOLDER / "network"
PAGE = ROOT / "docs" / "kubernetes.md"
CONFIG = BASE / "config.yaml"
PBXS = sorted(path for path in (FLEET / "pbxs").glob("*.yaml") if path.name != "fleet.yaml")
TEMPLATES = {"base": BASE / "deployment.yaml", "fleet": FLEET / "statefulset.yaml"}
KUBECTL = os.environ.get("KUBECTL")

Manifest = dict[str, Any]


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def built(folder: Path) -> list[Manifest]:
    """What kustomize makes of a folder."""
    if KUBECTL is None:
        pytest.skip("KUBECTL names no kubectl; scripts/check does")
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


def one(manifests: list[Manifest], *kinds: str) -> Manifest:
    (found,) = (each for each in manifests if each["kind"] in kinds)
    return found


def workload(manifests: list[Manifest]) -> Manifest:
    return one(manifests, "Deployment", "StatefulSet")


def pod_of(manifest: Manifest) -> Manifest:
    pod: Manifest = manifest["spec"]["template"]["spec"]
    return pod


def bridge_of(manifest: Manifest) -> Manifest:
    container: Manifest
    (container,) = pod_of(manifest)["containers"]
    assert container["name"] == "bridge"
    return container


def variables(manifest: Manifest) -> dict[str, str]:
    """The environment as far as it is written out, in its order."""
    return {each["name"]: each.get("value", "") for each in bridge_of(manifest)["env"]}


def kustomizations() -> Iterator[tuple[Path, Manifest]]:
    for path in sorted(FOLDER.rglob("kustomization.yaml")):
        yield path.parent, read(path)


def files_of(kustomization: Manifest) -> list[str]:
    named = [*kustomization["resources"], *(each["path"] for each in kustomization.get("patches", []))]
    return named + [file for each in kustomization.get("configMapGenerator", []) for file in each["files"]]


def with_secrets(tmp_path: Path, config: Path) -> Config:
    """A configuration as it is in the pod, where the Secrets are files beside it or in a folder of their own."""
    (tmp_path / config.name).write_text(config.read_text().replace("/run/secrets/3cx2mqtt/", ""))
    for secret in ("threecx", "mqtt"):
        (tmp_path / secret).write_text("s3cret")
        (tmp_path / secret).chmod(0o440)
    (tmp_path / "secrets.yaml").write_text("threecx: s3cret\nmqtt: s3cret\n")
    (tmp_path / "secrets.yaml").chmod(0o440)
    return load(tmp_path / config.name, {})


# The files.


def test_kustomizations_name_what_exists_and_leave_nothing_out() -> None:
    used: set[Path] = set()
    for folder, kustomization in kustomizations():
        for name in files_of(kustomization):
            assert (folder / name).exists(), f"{name_of(folder)}: {name}"
            used.add((folder / name).resolve())
        used.add(folder / "kustomization.yaml")
    assert {path for path in FOLDER.rglob("*") if path.is_file()} <= used


def test_a_patch_changes_a_resource_that_its_base_has() -> None:
    patch, base = read(PAIR / "deployment.yaml"), read(TEMPLATES["base"])
    assert (patch["kind"], patch["metadata"]["name"]) == (base["kind"], base["metadata"]["name"])
    names = [container["name"] for container in pod_of(patch)["containers"]]
    assert names == [container["name"] for container in pod_of(base)["containers"]]


@pytest.mark.parametrize("path", TEMPLATES.values(), ids=name_of)
def test_pods_have_no_right_that_they_do_not_need(path: Path) -> None:
    """As Kubernetes' own standard `restricted` asks, and a file system that is read-only besides."""
    manifest = read(path)
    pod, container = pod_of(manifest), bridge_of(manifest)
    assert pod["automountServiceAccountToken"] is False
    account = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert account
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(account[1]),
        "runAsGroup": int(account[2]),
        "fsGroup": int(account[2]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    assert all(volume.keys() & {"configMap", "secret", "projected", "emptyDir"} for volume in pod["volumes"])
    assert container["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize("path", TEMPLATES.values(), ids=name_of)
def test_kubernetes_sets_no_variable_that_looks_like_an_option(path: Path) -> None:
    """For a Service threecx2mqtt it would set THREECX2MQTT_PORT and more."""
    assert pod_of(read(path))["enableServiceLinks"] is False


@pytest.mark.parametrize("path", TEMPLATES.values(), ids=name_of)
def test_probes_ask_for_pages_that_the_bridge_has(path: Path) -> None:
    container = bridge_of(read(path))
    pages = set(re.findall(r'web\.get\("([^"]+)"', inspect.getsource(Probes.routes)))
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["path"] for probe in probes.values()} <= pages
    assert probes["startup"]["path"] == probes["liveness"]["path"] == "/healthz"
    (port,) = container["ports"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    annotations = read(path)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in pages
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


@pytest.mark.parametrize("path", TEMPLATES.values(), ids=name_of)
def test_what_the_bridge_writes_has_a_volume(path: Path) -> None:
    manifest = read(path)
    mounts = {mount["mountPath"]: mount for mount in bridge_of(manifest)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod_of(manifest)["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == volumes.keys()
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    given = variables(manifest)
    assert {given["STATE_DIRECTORY"], given["RUNTIME_DIRECTORY"]} == writable
    assert all("emptyDir" in volumes[mounts[path]["name"]] for path in writable)


def test_both_pod_templates_agree_in_all_but_their_configuration() -> None:
    base, fleet = (read(path) for path in TEMPLATES.values())
    assert base["spec"]["template"]["metadata"] == fleet["spec"]["template"]["metadata"]
    own = {"containers", "volumes", "topologySpreadConstraints"}
    ours, theirs = ({k: v for k, v in pod_of(each).items() if k not in own} for each in (base, fleet))
    assert ours == theirs
    own = {"args", "env", "volumeMounts", "resources", "startupProbe", "readinessProbe"}
    ours, theirs = ({k: v for k, v in bridge_of(each).items() if k not in own} for each in (base, fleet))
    assert ours == theirs


# The configurations.


def test_the_configuration_of_one_pbx_is_sound(tmp_path: Path) -> None:
    config = with_secrets(tmp_path, CONFIG)
    assert (config.web.enabled, config.web.host) == (True, "0.0.0.0")  # noqa: S104  # the pod's own addresses
    (warning,) = config.warnings
    assert "restrict access by a firewall" in warning  # which the NetworkPolicy does
    assert config.standby.enabled is False

    manifest = read(TEMPLATES["base"])
    assert bridge_of(manifest)["ports"][0]["containerPort"] == config.web.port
    mounts = {mount["name"]: mount["mountPath"] for mount in bridge_of(manifest)["volumeMounts"]}
    assert bridge_of(manifest)["args"] == ["run", "-c", f"{mounts['config']}/{CONFIG.name}"]
    secrets = set(re.findall(r"^ *\w+_file: (\S+)$", CONFIG.read_text(), re.MULTILINE))
    assert {str(Path(secret).parent) for secret in secrets} == {mounts["secrets"]}
    # `kubectl exec … 3cx2mqtt check` finds it without -c.
    assert f"THREECX2MQTT_CONFIG={mounts['config']}/{CONFIG.name}" in (ROOT / "Dockerfile").read_text()


def test_the_variables_of_a_pair_switch_standby_on(tmp_path: Path) -> None:
    with_secrets(tmp_path, CONFIG)
    config = load(tmp_path / CONFIG.name, variables(read(PAIR / "deployment.yaml")))
    assert (config.standby.enabled, config.mqtt.keepalive) == (True, 10)
    assert len(config.warnings) == 1  # the one above: each variable is an option


@pytest.mark.parametrize("path", PBXS, ids=name_of)
def test_the_configuration_of_each_pbx_of_a_fleet_is_sound(path: Path, tmp_path: Path) -> None:
    config = with_secrets(tmp_path, path)
    assert config.warnings == ()
    assert config.pbx.name == path.stem
    assert config.mqtt.base_topic == f"3cx/{path.stem}"
    assert f"{path.stem}.secrets.yaml" in path.read_text()


def test_the_options_of_the_process_of_a_fleet_are_sound(tmp_path: Path) -> None:
    process = FLEET / "pbxs" / "fleet.yaml"
    assert read(process).keys() == {"web", "log"}
    (tmp_path / "all").mkdir()
    (tmp_path / "all.yaml").write_text(f"{PBXS[0].read_text()}\n{process.read_text()}")
    config = with_secrets(tmp_path / "all", tmp_path / "all.yaml")
    assert (config.web.enabled, config.web.host, config.log.format) == (True, "0.0.0.0", "json")  # noqa: S104
    assert config.web.port == bridge_of(read(TEMPLATES["fleet"]))["ports"][0]["containerPort"]


def test_a_fleet_has_a_file_for_each_pbx_and_one_of_the_process() -> None:
    (generated,) = read(FLEET / "kustomization.yaml")["configMapGenerator"]
    assert sorted(generated["files"]) == sorted(f"pbxs/{path.name}" for path in (FLEET / "pbxs").iterdir())
    manifest = read(TEMPLATES["fleet"])
    volume = next(volume for volume in pod_of(manifest)["volumes"] if "projected" in volume)
    names = [source[kind]["name"] for source in volume["projected"]["sources"] for kind in source]
    assert names == [generated["name"], "threecx2mqtt-pbxs"]
    mounts = {mount["name"]: mount["mountPath"] for mount in bridge_of(manifest)["volumeMounts"]}
    assert bridge_of(manifest)["args"] == ["run", "-c", mounts[volume["name"]]]


def test_shards_are_numbered_from_1_by_the_pods() -> None:
    manifest = read(TEMPLATES["fleet"])
    assert manifest["spec"]["ordinals"] == {"start": 1}
    names = list(variables(manifest))
    assert names.index("POD_INDEX") < names.index("THREECX2MQTT_SHARD")  # else $(POD_INDEX) is not replaced
    index = next(each for each in bridge_of(manifest)["env"] if each["name"] == "POD_INDEX")
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"


def test_the_network_lets_the_bridge_reach_its_broker_and_its_pbxs() -> None:
    policy = read(NETWORK / "networkpolicy.yaml")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    anywhere = {port["port"] for rule in policy["egress"] if "to" not in rule for port in rule["ports"]}
    assert anywhere == {1883, 8883, 443, 5001}
    for path in (CONFIG, *PBXS):
        url = re.search(r"^ *url: (\S+)$", path.read_text(), re.MULTILINE)
        assert url
        assert (urlsplit(url[1]).port or 443) in anywhere
    dns = {(port["protocol"], port["port"]) for rule in policy["egress"] if "to" in rule for port in rule["ports"]}
    assert dns == {("UDP", 53), ("TCP", 53)}
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": "web"}]
    assert "from" in ingress


# The page.


def test_the_page_names_the_secrets_that_the_pods_mount() -> None:
    made = dict(re.findall(r"create secret generic (\S+) ((?:\\?\s*--from-file=\S+)+)", PAGE.read_text()))
    secrets = re.findall(r"/run/secrets/3cx2mqtt/(\w+)$", CONFIG.read_text(), re.MULTILINE)
    assert made.keys() == {"threecx2mqtt-secrets", "threecx2mqtt-pbxs"}
    assert re.findall(r"--from-file=(\w+)=", made["threecx2mqtt-secrets"]) == secrets


def test_the_page_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:base|network|overlays)/[\w/.-]+)`", PAGE.read_text()))
    assert named
    assert {name for name in named if not (FOLDER / name).exists()} == set()


# What kustomize makes of them.

BUILT = pytest.mark.parametrize("folder", [BASE, PAIR, FLEET], ids=name_of)


@BUILT
def test_a_built_overlay_is_consistent(folder: Path) -> None:
    manifests = built(folder)
    kinds = {each["kind"] for each in manifests}
    assert {"ConfigMap", "Service", "NetworkPolicy"} < kinds
    assert ("PodDisruptionBudget" in kinds) == (folder != BASE)
    assert {each["metadata"]["namespace"] for each in manifests} == {"threecx2mqtt"}

    made = workload(manifests)
    labels = made["spec"]["template"]["metadata"]["labels"]
    selectors = [each["spec"]["selector"] for each in manifests if "selector" in each.get("spec", {})]
    selectors.append(one(manifests, "NetworkPolicy")["spec"]["podSelector"])
    assert all(selector.get("matchLabels", selector) == labels for selector in selectors)
    assert len(selectors) == len(manifests) - 1  # all but the ConfigMap

    # A Service's name must be one of DNS that begins with a letter; others may begin with a digit.
    service = one(manifests, "Service")
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", service["metadata"]["name"])
    assert [port["targetPort"] for port in service["spec"]["ports"]] == [bridge_of(made)["ports"][0]["name"]]


@BUILT
def test_built_pods_mount_the_configuration_that_was_generated(folder: Path) -> None:
    manifests = built(folder)
    made, config = workload(manifests), one(manifests, "ConfigMap")
    mounted = [
        source["configMap"]["name"]
        for volume in pod_of(made)["volumes"]
        for source in (volume, *volume.get("projected", {}).get("sources", []))
        if "configMap" in source
    ]
    assert mounted == [config["metadata"]["name"]]
    written = FLEET / "pbxs" if folder == FLEET else BASE
    assert config["data"] == {name: (written / name).read_text() for name in config["data"]}
    assert bridge_of(made)["image"] == "3cx2mqtt:latest"


def test_a_built_single_bridge_never_runs_twice() -> None:
    spec = workload(built(BASE))["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_built_pair_is_two_bridges_on_two_nodes_of_which_one_stays() -> None:
    manifests = built(PAIR)
    made = workload(manifests)
    assert made["spec"]["replicas"] == 2
    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert one(manifests, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    (rule,) = pod_of(made)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]
    # The patch adds to the base's variables.
    assert variables(made).keys() == variables(read(PAIR / "deployment.yaml")).keys() | {
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
    }


def test_a_built_fleet_has_as_many_shards_as_pods() -> None:
    manifests = built(FLEET)
    made = workload(manifests)
    (replicas,) = read(FLEET / "kustomization.yaml")["replicas"]
    assert made["spec"]["replicas"] == replicas["count"] > 1
    assert variables(made)["THREECX2MQTT_SHARD"] == f"$(POD_INDEX)/{replicas['count']}"
    assert made["spec"]["podManagementPolicy"] == "Parallel"
    assert made["spec"]["serviceName"] == one(manifests, "Service")["metadata"]["name"]
