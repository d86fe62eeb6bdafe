"""The chart, installed into a real API server: an optional stage, for the server takes minutes to build."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.chart import CHART, NAMESPACE, VALUES, Manifest, helm, options, pods, rendered, tools
from tests.deploy.cluster import Cluster, cluster

pytestmark = pytest.mark.timeout(900)

_OTHERS = """
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: calls}, value: 1000}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: nvidia}, handler: nvidia}
"""
"""What the values of `everything` name, and somebody else makes."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that knows our operators' kinds, and a namespace that takes none but restricted pods."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        definitions = tools("crds") / "crds"
        # Not `apply`, which would keep a copy of each in an annotation that is too small for it.
        assert made.kubectl("create", "--filename", definitions).returncode == 0
        known = made.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        assert known.returncode == 0, known.stderr
        assert made.kubectl("create", "--filename=-", given=_OTHERS).returncode == 0
        assert made.kubectl("create", "namespace", NAMESPACE).returncode == 0
        level = "pod-security.kubernetes.io"
        labels = (f"{level}/enforce=restricted", f"{level}/warn=restricted")
        assert made.kubectl("label", "namespace", NAMESPACE, *labels).returncode == 0
        yield made


def in_cluster(ours: Cluster, *arguments: str) -> str:
    """What Helm said that it did."""
    done = helm(*arguments, "--namespace", NAMESPACE, KUBECONFIG=str(ours.kubeconfig))
    assert done.returncode == 0, done.stderr
    assert "would violate" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("values", VALUES)
def test_the_server_takes_every_manifest(ours: Cluster, values: str) -> None:
    apply = ("apply", "--dry-run=server", "--validate=strict", "--namespace", NAMESPACE, "--filename=-")
    done = ours.kubectl(*apply, given=rendered(values))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    made = [line for line in done.stdout.splitlines() if "created (server dry run)" in line]
    assert len(made) == len([each for each in yaml.safe_load_all(rendered(values)) if each])


@pytest.mark.parametrize("values", VALUES)
def test_its_pods_are_restricted_enough_to_be_let_in(ours: Cluster, values: str) -> None:
    for number, template in enumerate(pods(values)):
        done = ours.kubectl(
            "create", "--dry-run=server", "--filename=-", given=json.dumps(_pod(template, number))
        )
        assert done.returncode == 0, done.stderr


def test_a_pod_that_is_not_is_kept_out(ours: Cluster) -> None:
    [template] = pods("sidecar")
    pod = _pod(template, 0)
    pod["spec"]["securityContext"] = {}
    done = ours.kubectl("create", "--dry-run=server", "--filename=-", given=json.dumps(pod))
    assert done.returncode != 0
    assert "violates PodSecurity" in done.stderr


def test_a_wrong_field_is_refused(ours: Cluster) -> None:
    wrong = rendered("sidecar").replace("  replicas: 1\n", "  replicaz: 1\n")
    done = ours.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "--namespace", NAMESPACE, "--filename=-"),
        given=wrong,
    )
    assert done.returncode != 0
    assert "replicaz" in done.stderr


def test_a_release_is_installed_upgraded_and_taken_away(ours: Cluster) -> None:
    assert "pods wait for it" in in_cluster(ours, "install", "tea", str(CHART), *options("sidecar"))
    more = options("sidecar", "replicas=3", "page.enabled=true")
    in_cluster(ours, "upgrade", "tea", str(CHART), *more)
    found = json.loads(ours.get("deployment", "tea-moshi", "--namespace", NAMESPACE, "--output", "json"))
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["template"]["spec"]["initContainers"][1]["restartPolicy"] == "Always"
    history = json.loads(in_cluster(ours, "history", "tea", "--output", "json"))
    assert [each["status"] for each in history] == ["superseded", "deployed"]
    in_cluster(ours, "uninstall", "tea")
    kinds = "deployments,services,networkpolicies,poddisruptionbudgets,serviceaccounts"
    assert ours.get(kinds, "--namespace", NAMESPACE, "--output", "name") == ""
    # The weights, some gigabytes, stay.
    kept = ours.get("persistentvolumeclaims", "--namespace", NAMESPACE, "--output", "name")
    assert kept == "persistentvolumeclaim/tea-moshi-weights\n"


def test_a_release_that_is_scaled_from_now_on_keeps_the_pods_that_it_has(ours: Cluster) -> None:
    scaled = options("sidecar", "autoscaling.enabled=true", "autoscaling.minReplicas=2")
    replicas = "--output=jsonpath={.spec.replicas}"

    def pods_wanted() -> str:
        return ours.get("deployment", "more-moshi", "--namespace", NAMESPACE, replicas)

    in_cluster(ours, "install", "more", str(CHART), *options("sidecar", "replicas=3"))
    in_cluster(ours, "upgrade", "more", str(CHART), *scaled)
    assert pods_wanted() == "3"
    # As KEDA does; a later upgrade is none of its business.
    done = ours.kubectl("scale", "deployment", "more-moshi", "--namespace", NAMESPACE, "--replicas=5")
    assert done.returncode == 0, done.stderr
    in_cluster(ours, "upgrade", "more", str(CHART), *scaled, "--set", "worker.image.tag=0.2.0")
    assert pods_wanted() == "5"
    in_cluster(ours, "uninstall", "more")


def test_an_upgrade_of_the_worker_leaves_engines_of_split_alone(ours: Cluster) -> None:
    in_cluster(ours, "install", "two", str(CHART), *options("split"))
    before = ours.get(
        "statefulset",
        "two-moshi-engine",
        "--namespace",
        NAMESPACE,
        "--output=jsonpath={.metadata.generation}",
    )
    in_cluster(ours, "upgrade", "two", str(CHART), *options("split", "worker.image.tag=0.2.0"))
    after = ours.get(
        "statefulset",
        "two-moshi-engine",
        "--namespace",
        NAMESPACE,
        "--output=jsonpath={.metadata.generation}",
    )
    assert before == after == "1"
    image = "--output=jsonpath={.spec.template.spec.containers[0].image}"
    assert ours.get("deployment", "two-moshi-worker-1", "--namespace", NAMESPACE, image).endswith(":0.2.0")
    in_cluster(ours, "uninstall", "two")


def _pod(template: Manifest, number: int) -> Manifest:
    """A pod as its owner would make it."""
    volumes = template["spec"]["volumes"]
    claims = {mount["name"] for each in template["spec"]["containers"] for mount in each["volumeMounts"]}
    missing = claims - {each["name"] for each in volumes}
    made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in missing]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": f"pod-{number}", "namespace": NAMESPACE},
        "spec": {**template["spec"], "volumes": [*volumes, *made]},
    }
