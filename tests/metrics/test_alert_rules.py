"""The alert rules that are shipped: judged by Prometheus' own program, about metrics that the worker really has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from api.metrics import ERRORS_WAITING, all_of
from assembly.worker import Worker
from metrics.queues import METRICS as OF_QUEUES
from sandbox.process import ROOT
from sandbox.prometheus import Promtool
from tests.support.figures import Figures

RULES = ROOT / "deploy" / "prometheus-alerts.yml"
TESTS = ROOT / "deploy" / "prometheus-alerts.test.yml"
WANTED = {
    *("SystemDown", "OldestMessage", "ErrorsWaiting", "TrackerStale", "NoTrafficForUsual", "NotReady"),
    *("Reconnects", "ConfigError", "JournalWriteErrors"),
}


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def stories() -> list[dict[str, Any]]:
    return [each for story in yaml.safe_load(TESTS.read_text())["tests"] for each in story["alert_rule_test"]]


def test_promtool_accepts_the_rules(judge: Promtool) -> None:
    judgement = judge.check_rules(RULES)
    assert judgement.is_good, judgement.text
    assert f"{len(WANTED)} rules found" in judgement.text


def test_the_rules_do_what_their_tests_say(judge: Promtool) -> None:
    judgement = judge.test_rules(TESTS)
    assert judgement.is_good, judgement.text


def test_the_tests_find_each_rule_that_raises_nothing(judge: Promtool, tmp_path: Path) -> None:
    broken = yaml.safe_load(RULES.read_text())
    for rule in broken["groups"][0]["rules"]:
        rule["expr"] = f"({rule['expr']}) and vector(0) == 1"
    (tmp_path / RULES.name).write_text(yaml.safe_dump(broken, allow_unicode=True))
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    judgement = judge.test_rules(tmp_path / TESTS.name)
    assert not judgement.is_good
    assert set(re.findall(r"alertname: (\w+)", judgement.text)) == WANTED


def test_every_alert_is_there_in_both_languages_with_a_case_in_which_it_is_raised_and_one_in_which_it_is_not() -> None:
    assert {rule["alert"] for rule in rules()} == WANTED
    for rule in rules():
        assert re.search("[a-z]", rule["annotations"]["summary"])
        assert re.search("[а-я]", rule["annotations"]["summary_ru"])
    raised = {each["alertname"] for each in stories() if each["exp_alerts"]}
    silent = {each["alertname"] for each in stories() if not each["exp_alerts"]}
    assert raised == silent == WANTED


def test_every_metric_that_a_rule_asks_about_is_told_by_the_worker_or_the_api_with_the_labels_that_it_asks_for(
    worker: Worker,
) -> None:
    figures = Figures(all_of(worker.metrics.exposition().decode(), ()).encode())
    fed = {metric.name: metric for metric in (*OF_QUEUES, ERRORS_WAITING)}
    for rule in rules():
        asked = re.findall(r"(task_creator_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert asked, rule
        for name, selectors in asked:
            labels = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', selectors))
            if name in fed:
                assert labels <= {label.name for label in fed[name].labels}
                continue
            shown = figures.label_sets(name)
            assert shown, name
            assert all(labels <= each.keys() for each in shown), name
            for label, value in re.findall(r'(\w+)="([^"]*)"', selectors):
                assert value in {each[label] for each in shown}, f"{name} has no {label} {value}"
