#!/usr/bin/env python3
"""Teacher, coordinator and worker in a run: docs/metrics lists what they show and nothing else,
promtool finds no fault, the numbers are those of the run; and logs as JSON, one object a line."""

import datetime
import json
import os
import re
import shutil
import subprocess
import unittest

from metric_pages import listed_metrics
from metrics_test import Exposition, scrape
from services import TeacherTestCase, run, wait_for

SPEC = """\
name: observed
dataset: {name: digits, shard_size: 128}
student: {architecture: "mlp:64-16-10"}
loss: {name: kd, alpha: 0.9, temperature: 4}
training: {rounds: 2, replicas: 2, local_epochs: 1, batch_size: 32}
"""
NAMES = {"teacher": "teacher_service", "coordinator": "coordinator", "worker": "student_worker"}


class ObservabilityTest(TeacherTestCase):
    def metrics(self, label):
        """Flags of a program that serves metrics."""
        return ("--metrics-listen", "127.0.0.1:0", "--metrics-address-file",
                self.path(label + ".metrics"))

    def text(self, label):
        path = self.path(label + ".metrics")
        wait_for("the metrics of " + label, lambda: os.path.exists(path))
        with open(path) as file:
            return scrape(file.read().strip())[1]

    def all_three(self, *flags):
        self.started = {
            "coordinator": self.coordinator(*self.metrics("coordinator"), *flags),
            "teacher": self.listen("teacher", "teacher_service", "--model", self.teacher_file,
                                   "--cache-dir", self.path("cache"), *self.metrics("teacher"),
                                   *flags)}
        self.started["worker"] = self.worker(
            "w0", self.started["coordinator"].address, self.started["teacher"].address,
            *self.metrics("worker"), *flags)
        return self.started["coordinator"].address

    def finished_run(self, coordinator):
        run_id = self.submit(self.write("run.yaml", SPEC), coordinator)
        self.assertEqual(self.finish(run_id, coordinator)["state"], "RUN_STATE_SUCCEEDED")
        return run_id

    def test_the_page_lists_what_all_three_show(self):
        self.finished_run(self.all_three())
        shown = {}
        for label in NAMES:
            exposition = Exposition(self.text(label))
            for name, kind in exposition.type.items():
                prefix = f"distillery_{label}_"
                self.assertTrue(name.startswith((prefix, "process_")), name)
                labels = exposition.labels.get(name, set())
                if name in shown:
                    self.assertEqual(shown[name], (kind, labels, exposition.help[name]))
                shown[name] = (kind, labels, exposition.help[name])
        expected = listed_metrics()
        # The first is there while a task is being done, the second after one was refused.
        for name in ("distillery_worker_task_info", "distillery_coordinator_rejected_uploads_total"):
            self.assertIn(name, expected)
            shown.setdefault(name, expected[name])
        self.assertEqual(sorted(expected), sorted(shown))
        for name, metric in shown.items():
            self.assertEqual(expected[name], metric, name)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_finds_no_fault(self):
        self.finished_run(self.all_three())
        for label in NAMES:
            done = subprocess.run(["promtool", "check", "metrics"], text=True,
                                  input=self.text(label), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, ""), label)

    def test_a_worker_s_numbers_are_those_of_its_run(self):
        coordinator = self.all_three()
        self.finished_run(coordinator)

        def value(name, **labels):
            return Exposition(self.text("worker")).samples[
                "distillery_worker_" + name, frozenset(labels.items())]

        # Evaluations are reported, then counted.
        wait_for("the last task to be counted",
                 lambda: value("tasks_total", kind="evaluate", outcome="done") == 2)
        self.assertEqual(value("tasks_total", kind="initialise", outcome="done"), 1)
        self.assertEqual(value("tasks_total", kind="train", outcome="done"), 4)
        self.assertEqual(value("tasks_total", kind="train", outcome="dropped"), 0)
        self.assertGreater(value("trained_samples_total"), 1000)
        self.assertEqual(value("uploads_total"), 5)
        self.assertGreater(value("uploaded_bytes_total"), 5000)
        self.assertGreater(value("training_seconds_total"), value("teacher_wait_seconds_total"))
        self.assertGreater(value("task_seconds_total", kind="train"), 0)
        self.assertEqual(value("connected"), 1)
        self.assertEqual(value("name_info", worker="w0"), 1)
        self.assertEqual(value("task_round"), -1)
        self.started["coordinator"].kill()
        wait_for("the worker to see that", lambda: value("connected") == 0)

    def test_each_slot_has_an_endpoint(self):
        self.worker("w", "127.0.0.1:1", "", "--slots", 2, *self.metrics("worker"))
        for slot in (0, 1):
            self.assertIn("distillery_worker_connected 0\n", self.slot_text(slot))

    def slot_text(self, slot):
        path = self.path(f"worker.metrics.{slot}")
        wait_for("the metrics of a slot", lambda: os.path.exists(path))
        with open(path) as file:
            return scrape(file.read().strip())[1]

    def test_logs_are_json_when_asked(self):
        coordinator = self.all_three("--log-format", "json", "--log-level", "debug")
        run_id = self.finished_run(coordinator)
        for process in self.started.values():
            self.assertEqual(process.terminate(), 0)
        lines = {}
        for label, process in self.started.items():
            lines[label] = [json.loads(line) for line in process.log().splitlines()]
            self.assertGreater(len(lines[label]), 2)
            for line in lines[label]:
                self.assertEqual(line["program"], NAMES[label])
                self.assertIn(line["level"], ("debug", "info", "warning", "error", "critical"))
                self.assertTrue(line["message"])
                datetime.datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
        trained = {(line["round"], line["replica"]) for line in lines["worker"]
                   if line.get("run") == run_id and line.get("kind") == "train"}
        self.assertEqual(trained, {(round_, replica) for round_ in (0, 1) for replica in (0, 1)})
        events = [line for line in lines["coordinator"] if "event" in line]
        self.assertEqual({(line["event"], line["run"]) for line in events},
                         {("run_submitted", run_id), ("run_ended", run_id)})

    def test_the_last_word_of_a_program_is_json_as_well(self):
        done = run("coordinator", "--log-format", "json", "--state-dir", "/dev/null", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        last = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(last["level"], "critical")
        self.assertIn("/dev/null", last["message"])
        done = run("coordinator", "--log-format", "xml", check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
