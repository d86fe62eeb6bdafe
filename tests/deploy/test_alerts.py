"""Alerts: valid, tested each, each with a paragraph on what to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboard import expressions
from tests.deploy.exported import engine_page, names_in, names_on, worker_page
from tests.deploy.promtool import as_rules, promtool
from worker.room.reasons import Reason
from worker.watching.diary import TROUBLES
from worker.watching.worker_metrics import FAILURES, LOST_CALLS, OFFERS, PHONES, REQUESTS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def test_prometheus_takes_the_rules_and_the_configuration() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(FOLDER / "rules.yml"))
    promtool("check", "config", "--syntax-only", str(FOLDER / "prometheus.yml"))


def test_alerts_fire_when_they_should_and_else_do_not() -> None:
    promtool("test", "rules", str(FOLDER / "rules.test.yml"))


def test_an_expression_that_is_none_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "rules.yml"
    wrong.write_text(json.dumps(as_rules(["rate(moshi_frames_total"])))
    with pytest.raises(pytest.fail.Exception, match="expression"):
        promtool("check", "rules", str(wrong))


@each_alert
def test_each_alert_is_seen_to_fire_in_a_test_and_to_be_silent(alert: dict[str, Any]) -> None:
    tests = yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
    seen = [bool(case["exp_alerts"]) for test in tests for case in test["alert_rule_test"]
            if case["alertname"] == alert["alert"]]  # fmt: skip
    assert set(seen) == {True, False}


@each_alert
def test_each_alert_says_whom_it_wakes_and_where_the_remedy_is(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    page, anchor = alert["annotations"]["runbook"].split("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.M)
    assert anchor in [heading.lower() for heading in headings]
    assert anchor == alert["alert"].lower()


@each_alert
def test_each_remedy_says_what_to_look_at_what_to_do_and_how_to_see_that_it_helped(
    alert: dict[str, Any],
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    _, _, rest = page.partition(f"### {alert['alert']}\n")
    paragraph = rest.partition("\n### ")[0]
    steps = re.findall(r"^- \*\*(.+?)\*\*", paragraph, re.M)
    assert steps == ["Look", "Do", "Well again"]


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| \[(Moshi\w+)\]\(#(\w+)\) \| (\w+) \| .+ \| (\w*)[^|]*\|$", page, re.M)
    assert rows == [
        (each["alert"], each["alert"].lower(), each["labels"]["severity"], each.get("for", ""))
        for each in ALERTS
    ]


@each_alert
def test_a_threshold_of_an_alert_is_in_its_row_and_called_an_estimate(alert: dict[str, Any]) -> None:
    """A bare 0 or 1 is a state, and no threshold."""
    page = (ROOT / "docs" / "operations.md").read_text()
    (row,) = re.findall(rf"^\| \[{alert['alert']}\].*$", page, re.M)
    thresholds = set(re.findall(r"(?:[<>]=?|clamp_min\()\s*(?:on \(instance\) )?(\d[\d.]*)", alert["expr"]))
    assert "*estimate*" in row or thresholds <= {"0", "1"}


def test_no_paragraph_is_left_of_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^### (Moshi\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    assert set(headings) == {alert["alert"] for alert in ALERTS}


@each_alert
def test_each_alert_asks_for_what_engine_or_worker_export(alert: dict[str, Any]) -> None:
    exported = names_on(engine_page()) | names_on(worker_page()) | {"up", "process_start_time_seconds"}
    asked = names_in(alert["expr"])
    assert asked
    assert asked <= exported


def test_alert_dashboard_and_span_agree_on_what_a_failure_is() -> None:
    (alert,) = [each["expr"] for each in ALERTS if each["alert"] == "MoshiCallsFail"]
    asked = {
        frozenset(named.split("|"))
        for expression in (alert, *expressions())
        if (named := "".join(re.findall(r'moshi_worker_calls_ended_total\{reason=~"([^"]+)"', expression)))
    }
    assert asked == {frozenset(FAILURES)}


def test_alerts_and_dashboard_ask_for_kinds_that_are_counted() -> None:
    counted = {
        "moshi_worker_calls_ended_total": {"reason": {*Reason, *FAILURES}},
        "moshi_worker_call_events_total": {"event": set(TROUBLES)},
        "moshi_worker_call_requests_total": {"result": set(REQUESTS)},
        "moshi_worker_offers_total": {"result": set(OFFERS)},
        "moshi_worker_lost_calls_total": {"result": set(LOST_CALLS)},
        "moshi_worker_phones_alone_total": {"result": set(PHONES)},
    }
    for expression in (*(each["expr"] for each in ALERTS), *expressions()):
        for metric, label, kinds in re.findall(r'(moshi_worker_\w+)\{(\w+)!?=~?"([^"]+)"', expression):
            assert set(kinds.split("|")) <= counted[metric][label], expression
