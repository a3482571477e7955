#!/usr/bin/env python3
"""Alerts fire when they should, and name, like the dashboard, metrics that there are."""

import json
import os
import re
import shutil
import subprocess
import unittest

import yaml

from deployment import DEPLOY, METRIC, listed_metrics, read, unknown_metrics


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)


def rules():
    return [rule for group in yaml.safe_load(read("prometheus", "alerts.yml"))["groups"]
            for rule in group["rules"]]


@unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
class PromtoolTest(unittest.TestCase):
    def check(self, *arguments):
        done = promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_configuration_is_one(self):
        self.check("check", "config", os.path.join(DEPLOY, "prometheus", "prometheus.yml"))

    def test_the_rules_are_rules(self):
        self.check("check", "rules", os.path.join(DEPLOY, "prometheus", "alerts.yml"))

    def test_alerts_fire_when_they_should(self):
        self.check("test", "rules", os.path.join(DEPLOY, "prometheus", "alerts_test.yml"))


class AlertsTest(unittest.TestCase):
    def test_each_alert_is_shown_to_fire_and_not_to(self):
        fires, rests = set(), set()
        for test in yaml.safe_load(read("prometheus", "alerts_test.yml"))["tests"]:
            for case in test["alert_rule_test"]:
                (fires if case.get("exp_alerts") else rests).add(case["alertname"])
        names = {rule["alert"] for rule in rules()}
        self.assertGreaterEqual(len(names), 8)
        self.assertEqual(fires, names)
        self.assertEqual(rests, names)

    def test_each_says_how_bad_it_is_and_what_to_do(self):
        for rule in rules():
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"), rule["alert"])
            self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])

    def test_every_metric_exists(self):
        for rule in rules():
            self.assertEqual(unknown_metrics(rule["expr"]), [], rule["alert"])
            self.assertTrue(METRIC.search(rule["expr"]) or "up{" in rule["expr"], rule["expr"])

    def test_jobs_are_those_of_the_configuration(self):
        jobs = {job["job_name"] for job in
                yaml.safe_load(read("prometheus", "prometheus.yml"))["scrape_configs"]}
        asked = set(re.findall(r'job="(\w+)"', read("prometheus", "alerts.yml") +
                               read("grafana", "dashboards", "distillery.json").replace('\\"', '"')))
        self.assertTrue(asked)
        self.assertLessEqual(asked, jobs)

    def test_a_metric_that_is_none_is_seen(self):
        self.assertEqual(unknown_metrics("rate(distillery_teacher_rows[1m])"),
                         ["distillery_teacher_rows"])
        self.assertEqual(unknown_metrics("distillery_coordinator_averaging_seconds"),
                         ["distillery_coordinator_averaging_seconds"], "of a histogram")
        self.assertEqual(unknown_metrics("distillery_coordinator_averaging_seconds_bucket"), [])
        self.assertGreater(len(listed_metrics()), 80)


class GrafanaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dashboard = json.loads(read("grafana", "dashboards", "distillery.json"))
        cls.panels = [panel for panel in cls.dashboard["panels"] if panel["type"] != "row"]

    def test_every_metric_exists(self):
        for panel in self.panels:
            for target in panel["targets"]:
                self.assertEqual(unknown_metrics(target["expr"]), [], panel["title"])

    def test_expressions_are_those_of_prometheus(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        # Rules are checked without a server; queries are not.
        groups = {"groups": [{"name": "panels", "rules": [
            {"record": f"panel:{panel['id']}:{target['refId']}", "expr": target["expr"]}
            for panel in self.panels for target in panel["targets"]]}]}
        done = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], text=True,
                              input=json.dumps(groups), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_panels_are_explained_and_do_not_overlap(self):
        taken = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= cells
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in self.panels:
            self.assertTrue(panel["description"], panel["title"])

    def test_the_data_source_is_the_provisioned_one(self):
        (source,) = yaml.safe_load(read("grafana", "provisioning", "datasources",
                                        "prometheus.yml"))["datasources"]
        for panel in self.panels:
            for owner in (panel, *panel["targets"]):
                self.assertEqual(owner["datasource"],
                                 {"type": source["type"], "uid": source["uid"]})

    def test_what_people_ask_first_is_there(self):
        shown = " ".join(target["expr"] for panel in self.panels for target in panel["targets"])
        for name in ("coordinator_runs", "coordinator_live_workers", "teacher_rows_total",
                     "teacher_cache_hits_total", "teacher_queued_rows",
                     "coordinator_ended_leases_total", "coordinator_averaged_rounds_total",
                     "coordinator_free_bytes"):
            self.assertIn("distillery_" + name, shown)


if __name__ == "__main__":
    unittest.main()
