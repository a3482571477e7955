#!/usr/bin/env python3
"""Several runs on one coordinator: sweeps, dependencies, stragglers, quorums, guards, deletion."""

import json
import os
import signal
import time
import unittest
import urllib.request

import specs
from services import TeacherTestCase, run, wait_for

SWEEP = """\
name: swept
dataset: {name: digits, train_split: fit, evaluation_split: validation, shard_size: 64}
student: {architecture: "mlp:64-16-10"}
training: {rounds: 2, replicas: 2, local_epochs: 2, batch_size: 32, learning_rate: 0.03}
evaluation: {every_rounds: 0}
sweep:
  temperature: [1, 4, 20]
  loss.alpha: [0.5, 0.9]
"""

GUARDED = """\
name: guarded
dataset: {name: digits, train_split: fit, evaluation_split: test, shard_size: 64}
student: {architecture: "mlp:64-32-10"}
loss: {alpha: 0}
training: {rounds: 40, replicas: 2, local_epochs: 2, batch_size: 32, learning_rate: 0.1}
guard: {metric: cross_entropy, split: validation, patience: 2}
"""

EXPLODING = GUARDED.replace("learning_rate: 0.1", "learning_rate: 0.1, momentum: 0") \
    .replace("rounds: 40", "rounds: 6") \
    .replace("patience: 2", "max_loss_ratio: 1.000001, on_explosion: roll_back")


def rows_computed(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines
               if line.startswith("distillery_teacher_rows_total"))


class SchedulingTest(TeacherTestCase):
    def json(self, *arguments, check=True):
        return json.loads(run("distillery", *arguments, "--json", "--coordinator",
                              self.served.address, check=check).stdout)

    def serve(self, *arguments, workers=2, teacher=""):
        self.served = self.coordinator(*arguments)
        self.workers = [self.worker(f"worker-{i}", self.served.address, teacher)
                        for i in range(workers)]

    def test_a_sweep_asks_the_teacher_once_and_gives_a_table(self):
        teacher = self.teacher(self.teacher_file, "--metrics-listen", "127.0.0.1:0",
                               "--cache-dir", self.path("cache"))
        metrics = wait_for("the metrics' address", lambda: [
            word for line in teacher.log().splitlines() if "metrics at http://" in line
            for word in line.split() if word.startswith("http://")])[0]
        metrics = metrics[len("http://"):-len("/metrics")]
        self.serve(teacher=teacher.address)
        runs = self.json("submit", self.write("sweep.yaml", SWEEP), "--wait", "--output",
                         self.path("swept"))
        self.assertEqual(len(runs), 6)
        self.assertEqual({(one["values"]["loss.temperature"], one["values"]["loss.alpha"])
                          for one in runs}, {(t, a) for t in (1, 4, 20) for a in (0.5, 0.9)})
        self.assertEqual({one["state"] for one in runs}, {"succeeded"})
        accuracies = [one["accuracy"] for one in runs]
        self.assertEqual(accuracies, sorted(accuracies, reverse=True))
        self.assertEqual(len({one["weights_sha256"] for one in runs}), 6)
        # 1,120 samples to train on and 280 to evaluate on, each computed once for all six runs.
        self.assertEqual(rows_computed(metrics), 1400)
        self.assertTrue(os.path.exists(
            self.path("swept/swept-temperature_4-alpha_0.5/student.pt")))
        sweep = runs[0]["sweep"]
        table = run("distillery", "sweep", sweep, "--coordinator", self.served.address).stdout
        lines = table.splitlines()
        self.assertEqual(len(lines), 7, table)
        self.assertIn("loss.temperature", lines[0])
        self.assertTrue(lines[1].startswith(runs[0]["run_id"]), table)
        unknown = run("distillery", "sweep", sweep[:-1], "--coordinator", self.served.address,
                      check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn(sweep, unknown.stderr)

    def test_a_run_follows_what_it_depends_on_and_is_deleted(self):
        self.serve()
        first = specs.digits(alpha=0, rounds=2, local_epochs=1)
        second = first.replace("name: identity", "name: second") + \
            "scheduling: {depends_on: [identity]}\n"
        first_id = self.submit(self.write("first.yaml", first), self.served.address)
        second_id = self.submit(self.write("second.yaml", second), self.served.address)
        for run_id in (first_id, second_id):
            self.assertEqual(self.finish(run_id, self.served.address)["state"],
                             "RUN_STATE_SUCCEEDED")
        ((ended,),) = self.record(f"SELECT MAX(ended_unix_millis) FROM leases "
                                  f"WHERE run_id = '{first_id}'")
        ((begun,),) = self.record(f"SELECT MIN(granted_unix_millis) FROM leases "
                                  f"WHERE run_id = '{second_id}'")
        self.assertGreaterEqual(begun, ended)
        self.json("delete", first_id)
        self.assertFalse(os.path.exists(self.path(f"state/weights/{first_id}")))
        self.assertEqual([one["runId"] if "runId" in one else one["run_id"]
                          for one in self.json("runs")], [second_id])
        gone = run("distillery", "watch", first_id, "--coordinator", self.served.address,
                   check=False)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("is not known", gone.stderr)

    def test_a_stopped_workers_task_is_done_by_another_with_the_same_bits(self):
        spec = specs.digits(alpha=0, rounds=6, local_epochs=60) + "scheduling: {backup_after: 2}\n"
        alone = json.loads(run("distillery", "run", self.write("run.yaml", spec), "--output",
                               self.path("alone"), "--json").stdout)["run"]
        # Its lease outlasts the test: a backup alone can go on with the round.
        self.serve("--lease-seconds", 3600)
        run_id = self.submit(self.path("run.yaml"), self.served.address)

        def holds_a_late_task():
            ((tasks,),) = self.record(
                "SELECT COUNT(*) FROM leases JOIN workers USING (worker_id) WHERE name = 'worker-0'"
                " AND outcome = 'active' AND kind = 2 AND round >= 4")
            return tasks > 0
        wait_for("worker-0 to train", holds_a_late_task)
        self.workers[0].signal(signal.SIGSTOP)
        began = time.monotonic()
        done = self.finish(run_id, self.served.address)
        self.assertLess(time.monotonic() - began, 600)
        self.assertEqual(done["weights_sha256"], alone["weights_sha256"])
        outcomes = dict(self.record("SELECT outcome, COUNT(*) FROM leases GROUP BY outcome"))
        # It may have been stopped between two tasks; then nobody needed a backup.
        self.assertGreaterEqual(outcomes.get("superseded", 0), 1, outcomes)
        # What it was about to send is compared, and equal.
        self.workers[0].signal(signal.SIGCONT)
        wait_for("worker-0's result", lambda: "computed the same bits" in self.served.log())
        ((alarms,),) = self.record("SELECT nondeterminism_alarms FROM runs")
        self.assertEqual(alarms, 0)
        counted = self.record("SELECT round, COUNT(*) FROM tasks WHERE kind = 2 AND done = 1 "
                              "GROUP BY round")
        self.assertEqual(counted, [(r, 5) for r in range(6)])

    def test_a_quorum_goes_on_without_a_stopped_worker(self):
        spec = specs.digits(alpha=0, rounds=4, local_epochs=4) + \
            "sync: {mode: quorum, quorum: 3, deadline_seconds: 0.5, late_deltas: weight}\n" \
            "scheduling: {backup_after: 0}\n"
        self.serve("--lease-seconds", 3600)
        run_id = self.submit(self.write("run.yaml", spec), self.served.address)
        wait_for("worker-0 to train", lambda: self.record(
            "SELECT 1 FROM leases JOIN workers USING (worker_id) WHERE name = 'worker-0'"
            " AND outcome = 'active' AND kind = 2"))
        self.workers[0].signal(signal.SIGSTOP)
        done = self.finish(run_id, self.served.address)
        self.workers[0].signal(signal.SIGCONT)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        self.assertTrue(done["inexact"])
        counted = self.record("SELECT round, delta_count FROM rounds ORDER BY round")
        self.assertEqual([round for round, _ in counted], list(range(4)))
        self.assertTrue(all(3 <= deltas <= 6 for _, deltas in counted), counted)

    def guarded(self, spec):
        alone = json.loads(run("distillery", "run", self.write("run.yaml", spec), "--output",
                               self.path("alone"), "--json").stdout)
        self.serve()
        run_id = self.submit(self.path("run.yaml"), self.served.address)
        run("distillery", "watch", run_id, "--coordinator", self.served.address)
        ended = json.loads(run("distillery", "watch", run_id, "--coordinator",
                               self.served.address, "--json").stdout)
        self.assertEqual(ended["run"]["weights_sha256"], alone["run"]["weights_sha256"])
        return ended

    def test_a_guard_stops_early_with_the_best_weights(self):
        ended = self.guarded(GUARDED)
        done = ended["run"]
        self.assertIn("stopped early", done["state_reason"])
        self.assertLess(done["completed_round_count"], 40)
        losses = [one["evaluation"]["held_out_cross_entropy"] for one in ended["rounds"]]
        best = losses.index(min(losses)) + 1
        self.assertEqual(done["best_round"], best)
        self.assertEqual(done["completed_round_count"], best + 2)
        self.assertEqual(done["weights_sha256"], ended["rounds"][best - 1]["weights_sha256"])
        self.assertEqual(ended["rounds"][-1]["rolled_back_to_round"], best)
        self.assertEqual(ended["rounds"][0]["evaluation"]["held_out_sample_count"], "280")
        self.assertEqual(ended["rounds"][0]["evaluation"]["sample_count"], "397")

    def test_a_guard_rolls_back_with_the_same_bits_everywhere(self):
        # Any rise at all counts as an explosion here.
        ended = self.guarded(EXPLODING.replace("learning_rate: 0.1", "learning_rate: 1.5"))
        rolled_back = [one for one in ended["rounds"] if one.get("rolled_back_to_round")]
        self.assertTrue(rolled_back, ended["rounds"])


if __name__ == "__main__":
    unittest.main()
