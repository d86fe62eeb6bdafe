"""Values that contradict each other stop Helm; nodes are asked for what docs/scaling.md reckons with."""

import re

import pytest

from tests.deploy.chart import CHART, ROOT, Container, containers, faults, helm, options, pods

SHARED = ("mode=split", "replicas=2", "weights.existingClaim=files")
HUB = "kyutai/moshiko-pytorch-bf16"


@pytest.mark.parametrize(
    ("values", "settings", "said"),
    [
        ("split", ("autoscaling.enabled=true",), "take mode=sidecar, or change `replicas`"),
        ("sidecar", SHARED, "all 2 engines of mode=split would share the claim files"),
        ("parrot", (f"engine.checkpoint={HUB}",), f"no volume for the files of engine.checkpoint={HUB}"),
        ("parrot", ("engine.settings.ENGINE_LORA=a/b",), "the files of engine.settings.ENGINE_LORA=a/b"),
        ("sidecar", ("engine.settings.ENGINE_VOICES=/voices",), "ENGINE_VOICES=/voices: nothing is there"),
        ("sidecar", ("voices.configMap=ours",), "no setting says what it is for"),
        ("everything", ("voices.configMap=ours",), "name one of the two"),
    ],
)
def test_values_that_do_not_fit_together_are_an_error_that_says_what_to_do(
    values: str, settings: tuple[str, ...], said: str
) -> None:
    done = helm("template", "tea", CHART, *options(values, *settings))
    assert done.returncode != 0
    assert said in faults(done.stderr)


@pytest.mark.parametrize(
    "settings",
    [
        (*SHARED, "weights.accessModes={ReadWriteMany}"),
        ("mode=split", "weights.existingClaim=files"),
        ("mode=split", "replicas=2"),
        ("replicas=2", "weights.existingClaim=files"),
        ("weights.enabled=false", "engine.checkpoint=/models/moshiko"),
        ("weights.enabled=false", "engine.checkpoint=random:moshi-7b"),
        ("voices.existingClaim=ours", "engine.settings.ENGINE_VOICES=/voices/of-the-bakery"),
        ("engine.settings.ENGINE_VOICES=/data/voices",),
        (
            "engine.settings.ENGINE_VOICES=/voices",
            "engine.extraVolumes[0].name=mine",
            "engine.extraVolumes[0].emptyDir.sizeLimit=1Gi",
            "engine.extraVolumeMounts[0].name=mine",
            "engine.extraVolumeMounts[0].mountPath=/voices",
        ),
        (
            "voices.configMap=ours",
            "engine.extraEnv[0].name=ENGINE_VOICES",
            "engine.extraEnv[0].value=/voices",
        ),
    ],
)
def test_those_that_do_are_none(settings: tuple[str, ...]) -> None:
    assert pods("sidecar", *settings)


def requested(container: Container) -> tuple[float, float]:
    """Cores, and bytes of memory, that a node has to have for it."""
    asked = container.spec["resources"]["requests"]
    memory = str(asked["memory"])
    assert memory.endswith("Gi")
    return float(asked["cpu"]), float(memory.removesuffix("Gi")) * 2**30


def test_a_node_has_what_the_arithmetic_of_scaling_asks_for() -> None:
    page = (ROOT / "docs/scaling.md").read_text()
    said = re.search(
        r"of (\d+) seats takes ([\d.]+) cores and ([\d.]+) GB for its worker's calls, and (\w+) for its",
        page.replace("\n", " "),
    )
    each = re.search(r"\| worker \| ([\d.]+) % of a core, (\d+) MB", page)
    assert said is not None
    assert each is not None
    seats, cores, gigabytes = int(said[1]), float(said[2]), float(said[3])
    assert cores == pytest.approx(seats * float(each[1]) / 100, abs=0.05)
    assert gigabytes == pytest.approx(seats * float(each[2]) / 1000, abs=0.05)
    [worker], [engine] = containers("sidecar", name="worker"), containers("sidecar", name="engine")
    assert requested(worker)[0] == cores
    # The rest is for its main process, and those that wait for a call.
    assert requested(worker)[1] > gigabytes * 1e9
    assert requested(engine)[0] == {"two": 2}[said[4]]
