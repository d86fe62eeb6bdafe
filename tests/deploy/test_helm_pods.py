"""How pods begin and end, what they may do, and who may talk to them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.deploy.chart import NAMESPACE, VALUES, Container, Manifest, containers, of_kind, pods
from worker.settings import WorkerSettings
from worker.watching.readiness import READY_PATH

EVERYWHERE = pytest.mark.parametrize("values", VALUES)
# livekit-agents 1.8.9: session_end_timeout 300 s and shutdown_process_timeout 10 s.
END_OF_A_JOB_S = 310


@contextmanager
def running_engine() -> Iterator[str]:
    """The address of something that answers as an engine does: at first that it does not."""
    codes = iter((503, 200))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(next(codes))
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def longest_call_s(values: str) -> float:
    """What the workers let a call take."""
    found = {each.environment["WORKER_MAX_CALL_SECONDS"] for each in containers(values, name="worker")}
    return max(float(str(each)) for each in found)


def probes(container: Container) -> dict[str, Manifest]:
    return {name: each for name, each in container.spec.items() if name.endswith("Probe")}


@EVERYWHERE
def test_a_pod_waits_longer_for_its_calls_than_one_can_last(values: str) -> None:
    for pod in pods(values):
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        assert grace >= longest_call_s(values) + END_OF_A_JOB_S
    for engine in containers(values, name="engine"):
        drain = float(str(engine.environment["ENGINE_DRAIN_SECONDS"]))
        assert longest_call_s(values) <= drain < engine.pod["spec"]["terminationGracePeriodSeconds"]


def test_a_longer_call_makes_the_wait_longer() -> None:
    [pod] = pods("sidecar", "worker.maxCallSeconds=10000")
    assert pod["spec"]["terminationGracePeriodSeconds"] == 10360
    assert WorkerSettings.model_fields["worker_max_call_seconds"].default == longest_call_s("sidecar")


def test_the_engine_starts_before_the_worker_and_ends_after_it() -> None:
    [pod] = pods("sidecar")
    download, engine = pod["spec"]["initContainers"]
    assert (download["name"], engine["name"]) == ("download", "engine")
    # A native sidecar: the next container waits for its startupProbe, and it is told to end after all others.
    assert engine["restartPolicy"] == "Always"
    assert "startupProbe" in engine
    assert "restartPolicy" not in download
    assert [each["name"] for each in pod["spec"]["containers"]] == ["worker"]


def test_engine_and_worker_of_a_pod_share_sockets() -> None:
    [engine], [worker] = containers("sidecar", name="engine"), containers("sidecar", name="worker")
    assert worker.environment["ENGINE_URL"] == f"unix:{engine.environment['ENGINE_SOCKET']}"
    assert worker.environment["ENGINE_ADMIN_SOCKET"] == engine.environment["ENGINE_ADMIN_SOCKET"]
    for each in (engine, worker):
        assert {"name": "run", "mountPath": "/run/moshi"} in each.spec["volumeMounts"]
    [volume] = [each for each in engine.pod["spec"]["volumes"] if each["name"] == "run"]
    assert "emptyDir" in volume


def test_each_worker_of_split_talks_to_an_engine_of_its_own_by_tls() -> None:
    [service] = [each for each in of_kind("Service", "split") if each["spec"].get("clusterIP") == "None"]
    [engines] = of_kind("StatefulSet", "split")
    assert engines["spec"]["serviceName"] == service["metadata"]["name"]
    # Those that drain are not ready, and their calls still have to find them.
    assert service["spec"]["publishNotReadyAddresses"] is True
    name = engines["metadata"]["name"]
    expected = [f"wss://{name}-{n}.{name}.{NAMESPACE}.svc:8998" for n in range(engines["spec"]["replicas"])]
    workers = list(containers("split", name="worker"))
    assert [each.environment["ENGINE_URL"] for each in workers] == expected
    assert len({str(each.pod["metadata"]["labels"]) for each in workers}) == len(expected)
    [engine] = containers("split", name="engine")
    assert str(engine.environment["ENGINE_PEERS"]).split(",")[0] == f"{name}-0={expected[0]}"
    assert {each.environment["ENGINE_PEERS"] for each in workers} == {engine.environment["ENGINE_PEERS"]}


@pytest.mark.parametrize("change", ["worker.image.tag=0.2.0", "replicas=3"])
def test_a_new_worker_or_one_engine_more_leaves_the_engines_alone(change: str) -> None:
    before, after = of_kind("StatefulSet", "split"), of_kind("StatefulSet", "split", change)
    assert before[0]["spec"]["template"] == after[0]["spec"]["template"]


def test_a_worker_of_split_waits_for_its_engine() -> None:
    waiting, *_ = containers("split-plain", name="wait-for-engine")
    [worker] = containers("split-plain", name="worker")
    python, _, script = waiting.spec["command"]
    asked = str(worker.environment["ENGINE_URL"]).replace("ws:", "http:") + "/healthz"
    assert asked in script
    with running_engine() as address:
        command = [sys.executable, "-c", script.replace(asked, f"{address}/healthz")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (python, done.returncode) == ("python", 0)
    assert "no engine yet" in done.stdout


def test_a_new_worker_of_split_starts_beside_the_old_one() -> None:
    for each in of_kind("Deployment", "split"):
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@EVERYWHERE
def test_probes_ask_what_is_answered(values: str) -> None:
    for each in containers(values, name="engine"):
        asked = {name: probe["httpGet"]["path"] for name, probe in probes(each).items()}
        # /readyz is 503 while it drains, /healthz is not.
        assert asked == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
        scheme = "HTTPS" if "ENGINE_TLS_CERT" in each.environment else "HTTP"
        assert {probe["httpGet"]["scheme"] for probe in probes(each).values()} == {scheme}
        start = probes(each)["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= 1800
    for each in containers(values, name="worker"):
        asked = {
            name: (probe["httpGet"]["port"], probe["httpGet"]["path"]) for name, probe in probes(each).items()
        }
        # LiveKit's health check answers as long as the worker lives; ours says whether calls should come.
        alive = ("health", "/worker")
        assert asked == {
            "startupProbe": alive,
            "readinessProbe": ("metrics", READY_PATH),
            "livenessProbe": alive,
        }


@EVERYWHERE
def test_nobody_is_killed_for_a_minute_of_silence(values: str) -> None:
    for each in containers(values):
        if live := probes(each).get("livenessProbe"):
            assert live["periodSeconds"] * live["failureThreshold"] >= 60


@EVERYWHERE
def test_pods_may_do_nothing_that_they_need_not(values: str) -> None:
    for pod in pods(values):
        spec = pod["spec"]
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (
            True,
            10001,
            10001,
        )
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(values):
        assert each.spec["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "/tmp" in {mount["mountPath"] for mount in each.spec["volumeMounts"]}
        assert each.spec["resources"].keys() == {"requests", "limits"}
        assert "memory" in each.spec["resources"]["limits"]


@EVERYWHERE
def test_what_is_mounted_is_there(values: str) -> None:
    for each in containers(values):
        volumes = {volume["name"] for volume in each.pod["spec"]["volumes"]}
        for owner in of_kind("StatefulSet", values):
            volumes |= {made["metadata"]["name"] for made in owner["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in each.spec["volumeMounts"]} <= volumes


def test_each_engine_has_one_gpu() -> None:
    for values in VALUES:
        asked = [each.spec["resources"]["limits"].get("nvidia.com/gpu") for each in containers(values)]
        engines = [each for each in containers(values) if each.name == "engine"]
        assert [each for each in asked if each] == ([] if values == "parrot" else ["1"] * len(engines))


def test_weights_are_fetched_before_the_engine_and_read_without_the_hub() -> None:
    [download], [engine] = containers("sidecar", name="download"), containers("sidecar", name="engine")
    assert download.spec["args"] == ["download"]
    for name in ("ENGINE_CHECKPOINT", "HF_HOME"):
        assert download.environment[name] == engine.environment[name]
    assert engine.environment["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in download.environment
    [claim] = of_kind("PersistentVolumeClaim", "sidecar")
    [volume] = [each for each in engine.pod["spec"]["volumes"] if each["name"] == "weights"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    mounts = {each["name"]: each["mountPath"] for each in engine.spec["volumeMounts"]}
    assert str(engine.environment["HF_HOME"]).startswith(mounts["weights"] + "/")


@pytest.mark.parametrize("mode", ["sidecar", "split"])
def test_models_beside_the_first_one_and_an_adapter_are_fetched_as_well(mode: str) -> None:
    beside = {"STT_CHECKPOINT": "kyutai/stt-1b-en_fr", "TTS_CHECKPOINT": "kyutai/tts-1.6b-en_fr"}
    given = beside | {"LORA": "acme/our-adapter"}
    settings = [f"engine.settings.ENGINE_{name}={value}" for name, value in given.items()]
    fetched = [each for each in containers(mode, *settings) if each.name.startswith("download")]
    assert [each.spec["args"][1:] for each in fetched] == [[], *([each] for each in beside.values())]
    assert [each.environment.get("ENGINE_LORA") for each in fetched] == [given["LORA"], None, None]


@pytest.mark.parametrize("mode", ["sidecar", "split"])
@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("existingClaim", {"persistentVolumeClaim": {"claimName": "ours", "readOnly": True}}),
        ("configMap", {"configMap": {"name": "ours"}}),
    ],
)
def test_voices_are_where_the_setting_says_and_nobody_writes_to_them(
    mode: str, value: str, source: Manifest
) -> None:
    settings = (f"voices.{value}=ours", "engine.settings.ENGINE_VOICES=/voices")
    [engine] = containers(mode, *settings, name="engine")
    assert {"name": "voices", **source} in engine.pod["spec"]["volumes"]
    mounted = {each["mountPath"]: each for each in engine.spec["volumeMounts"]}
    assert mounted[str(engine.environment["ENGINE_VOICES"])]["readOnly"] is True


def test_prometheus_knows_which_engine_a_worker_of_split_waits_for() -> None:
    [monitor] = of_kind("PodMonitor", "split")
    rules = {
        endpoint["port"]: [each for each in endpoint["relabelings"] if each.get("targetLabel") == "engine"]
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    }
    [of_engine], [of_worker] = rules["engine"], rules["metrics"]
    assert of_engine["sourceLabels"] == ["__meta_kubernetes_pod_name"]
    assert of_worker["sourceLabels"] == ["__meta_kubernetes_pod_label_moshi_engine"]
    labels = [each.pod["metadata"]["labels"]["moshi.engine"] for each in containers("split", name="worker")]
    told = [str(each.environment["ENGINE_URL"]) for each in containers("split", name="worker")]
    for label, url in zip(labels, told, strict=True):
        assert url.startswith(f"wss://{of_worker['replacement'].replace('$1', label)}.")


@EVERYWHERE
def test_everything_that_selects_pods_finds_some(values: str) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(values)]
    selectors = [
        each["spec"].get("selector", {}) if each["kind"] != "NetworkPolicy" else each["spec"]["podSelector"]
        for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor")
        for each in of_kind(kind, values)
    ]
    wanted = [each["matchLabels"] for each in selectors]
    wanted += [each["spec"]["selector"] for each in of_kind("Service", values)]
    assert wanted
    for each in wanted:
        assert any(each.items() <= found.items() for found in labels), each


@EVERYWHERE
def test_every_pod_is_behind_one_policy_and_one_budget(values: str) -> None:
    for kind, selector in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        for pod in pods(values):
            labels = pod["metadata"]["labels"]
            found = [
                each
                for each in of_kind(kind, values)
                if each["spec"][selector]["matchLabels"].items() <= labels.items()
            ]
            assert len(found) == 1


def ports_in(policy: Manifest, direction: str) -> set[object]:
    """The ports that a policy opens."""
    return {port["port"] for rule in policy["spec"][direction] for port in rule["ports"]}


def test_metrics_and_page_alone_are_let_in() -> None:
    [closed], [page] = of_kind("NetworkPolicy", "sidecar"), of_kind("NetworkPolicy", "parrot")
    assert ports_in(closed, "ingress") == {8998, 8082}
    assert ports_in(page, "ingress") == {8998, 8082, "page"}
    assert all("from" in rule for rule in closed["spec"]["ingress"])
    assert ports_in(closed, "egress") >= {53, 443, 7880, 7881, 7882, 50000}


def test_an_engine_of_split_hears_workers_and_engines_and_sends_no_udp_but_for_names() -> None:
    engine, worker = of_kind("NetworkPolicy", "split")
    assert worker["metadata"]["name"].endswith("-worker")
    assert ports_in(worker, "ingress") == {8082, "page"}
    udp = {
        port["port"]
        for rule in engine["spec"]["egress"]
        for port in rule["ports"]
        if port["protocol"] == "UDP"
    }
    assert udp == {53}
    assert 8998 in ports_in(worker, "egress")
    [plain, _] = of_kind("NetworkPolicy", "split-plain")
    [rule] = plain["spec"]["ingress"]
    components = [each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in rule["from"]]
    assert components == ["worker", "engine"]
