"""The dashboard: every query is one, asks for what there is, and Grafana finds the file."""

import json
from pathlib import Path

import yaml

from tests.deploy.dashboard import DASHBOARD, FILE, PANELS, ROOT, expressions
from tests.deploy.exported import engine_page, names_in, names_on, worker_page
from tests.deploy.promtool import as_rules, promtool

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    queries = expressions()
    assert len(queries) > 50
    assert not [query for query in queries if "$" in query], "a variable that nobody fills in"
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps(as_rules(queries)))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(rules))


def test_every_query_asks_for_what_engine_or_worker_export() -> None:
    processes = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
    exported = names_on(engine_page()) | names_on(worker_page()) | processes
    asked = set().union(*map(names_in, expressions()))
    assert "moshi_missed_frames_total" in asked
    assert asked <= exported


def test_it_asks_its_four_questions_in_this_order() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Can I take more calls?", "Is anybody suffering?", "Who?", "Why?"]


def test_panels_lie_beside_each_other_and_on_top_of_none() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_panel_asks_the_prometheus_that_is_chosen() -> None:
    (datasource,) = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "datasource"]
    for panel in (*PANELS, *DASHBOARD["annotations"]["list"]):
        for asked in (panel, *panel.get("targets", [])):
            assert asked["datasource"]["uid"] == f"${{{datasource['name']}}}"


def test_grafana_is_told_of_the_prometheus_and_of_the_folder() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "moshi.yml").read_text())["providers"]
    compose = (ROOT / "deploy" / "docker" / "compose.yaml").read_text()
    assert f"../grafana/{FILE.parent.name}:{provider['options']['path']}:ro" in compose
    assert "../grafana/provisioning:/etc/grafana/provisioning:ro" in compose
