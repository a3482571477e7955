#!/usr/bin/env python3
"""`coordinator state`, and what a coordinator tells Prometheus."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import unittest
import urllib.request

from bare_coordinator import BareCoordinatorCase, grpc, model_file, run, wait_for
from metric_pages import listed_metrics

PREFIX = "distillery_coordinator_"


class CoordinatorState(BareCoordinatorCase):
    def do_first_round(self, stub):
        """Of a new run; returns its id and a worker's."""
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        for value in (1.0, 0.5, 0.25):
            self.upload(stub, self.lease(stub, worker), model_file(value))
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
        return run_id, worker

    def make_state(self):
        """A stopped coordinator's folder with a run in its second round; returns the run's id."""
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        run_id, worker = self.do_first_round(stub)
        self.upload(stub, self.lease(stub, worker, wait=20), model_file(0.5))
        self.assertEqual(coordinator.terminate(), 0)
        return run_id

    def state(self, *arguments):
        return run("coordinator", "state", *arguments, check=False)

    def damage(self, table, column):
        with sqlite3.connect(self.path("state/record.sqlite3")) as database:
            changed = database.execute(
                f"UPDATE {table} SET {column} = {column} + 1024 WHERE rowid = "
                f"(SELECT min(rowid) FROM {table})").rowcount
        self.assertEqual(changed, 1)

    def test_fault53_what_was_accepted_is_readable_after_kill_minus_nine(self):
        messages = self.messages
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        worker = self.register(stub)
        diverged = self.submit_run(stub, rounds=1)
        for value in (1.0, 0.5, 0.25):
            self.upload(stub, self.lease(stub, worker, wait=20), model_file(value))
        evaluation = self.lease(stub, worker, wait=20)
        self.assertEqual(evaluation.kind, messages.TASK_KIND_EVALUATE)
        nan = float("nan")
        stub.ReportEvaluation(messages.ReportEvaluationRequest(
            request_id="nan", lease=evaluation, metrics=messages.EvaluationMetrics(
                sample_count=10, cross_entropy=nan, agreement_count=-1,
                details=messages.EvaluationDetails(calibration_bins=[
                    messages.CalibrationBin(sample_count=10, confidence_sum=nan)]))))
        # Texts that are cut, in the middle of a character if bytes were counted alone.
        failed = self.submit_run(stub)
        text = "a" + "\u20ac" * 1000
        for _ in range(3):
            lease = self.lease(stub, worker, wait=20)
            stub.RenewLease(messages.RenewLeaseRequest(lease=lease, waiting_for=text))
            self.assertIn("\u20ac", self.get(stub, failed).state_reason)
            stub.ReleaseTask(messages.ReleaseTaskRequest(
                request_id=lease.run_id[-6:] + str(lease.fencing_token), lease=lease,
                reason=messages.RELEASE_REASON_FAILED, message=text))
        going = self.submit_run(stub)
        coordinator.kill()

        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        states = {one.run_id: one for one in stub.ListRuns(messages.ListRunsRequest()).runs}
        self.assertEqual(set(states), {diverged, failed, going})
        self.assertEqual(states[diverged].state, messages.RUN_STATE_FAILED)
        self.assertIn("diverged", states[diverged].state_reason)
        self.assertEqual(states[failed].state, messages.RUN_STATE_PAUSED)
        self.assertTrue(states[failed].state_reason.endswith("\u20ac..."))
        for run_id in states:
            answer = stub.GetRun(messages.GetRunRequest(run_id=run_id, include_rounds=True))
            self.assertEqual(answer.run.run_id, run_id)
            stub.ListLeases(messages.ListLeasesRequest(run_id=run_id))
        exported = json.loads(self.state("export", self.path("state")).stdout)
        self.assertEqual(len(exported["runs"]), 3)
        self.assertEqual(self.lease(stub, self.register(stub), wait=20).run_id, going)
        self.assertEqual(coordinator.terminate(), 0)
        done = self.state("check", self.path("state"))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_check_says_what_is_wrong_and_what_can_be_done(self):
        run_id = self.make_state()
        done = self.state("check", self.path("state"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^sound: \d+ rows and \d+ files .* 0 damaged")
        self.damage("workers", "registered_unix_seconds")
        os.remove(self.path(f"state/weights/{run_id}/00000001.safetensors"))
        done = self.state("check", self.path("state"))
        self.assertEqual(done.returncode, 1)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 3, done.stdout)
        self.assertRegex(lines[0], r"^damaged   record: table workers, row \(worker-\w+\): its "
                                   r"checksum differs; --repair takes the row out")
        self.assertRegex(lines[1], r"^damaged   weights/.*00000001.safetensors is missing; the "
                                   r"coordinator rebuilds it")
        self.assertRegex(lines[2], "^DAMAGED: .* 2 damaged")
        found = json.loads(self.state("check", self.path("state"), "--json").stdout)
        self.assertFalse(found["sound"])
        self.assertEqual([finding["kind"] for finding in found["findings"]], ["damaged"] * 2)
        # The coordinator says where to look.
        refused = run("coordinator", "--state-dir", self.path("state"), "--listen", "127.0.0.1:0",
                      check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("table workers", refused.stderr)
        self.assertIn("coordinator state check", refused.stderr)
        done = self.state("check", self.path("state"), "--repair")
        self.assertIn("mended", done.stdout)
        self.assertEqual(done.returncode, 1, "the weights are still away")
        coordinator = self.start_coordinator()
        wait_for("the weights to be rebuilt",
                 lambda: self.metric(coordinator, "digest_repairs_total", file="weights") == 1)
        self.assertEqual(coordinator.terminate(), 0)
        self.assertEqual(self.state("check", self.path("state")).returncode, 0)

    def test_a_folder_in_use_is_not_checked_but_can_be_exported(self):
        coordinator = self.start_coordinator()
        run_id = self.submit_run(self.stub(coordinator))
        done = self.state("check", self.path("state"))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"in use by process {coordinator.child.pid}", done.stderr)
        done = self.state("export", self.path("state"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["runs"][0]["run_id"], run_id)

    def test_fault66_without_the_lock_file_no_second_coordinator_gets_in(self):
        coordinator = self.start_coordinator()
        run_id = self.submit_run(self.stub(coordinator))
        os.remove(self.path("state/lock"))
        # The first attempt makes the file anew, so that the second one finds another than was locked.
        for _ in range(2):
            second = run("coordinator", "--state-dir", self.path("state"),
                         "--listen", "127.0.0.1:0", check=False)
            self.assertEqual(second.returncode, 1)
            self.assertIn("is in use by process", second.stderr)
        self.assertEqual(self.get(self.stub(coordinator), run_id).run_id, run_id)
        # A lock ends with its process, however that ends.
        coordinator.kill()
        self.assertEqual(self.get(self.stub(self.start_coordinator()), run_id).run_id, run_id)

    def test_fault62_weights_damaged_while_it_runs_are_rebuilt_without_a_restart(self):
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        run_id, worker = self.do_first_round(stub)
        path = self.path(f"state/weights/{run_id}/00000001.safetensors")
        with open(path, "rb") as file:
            undisturbed = file.read()

        def download():
            return b"".join(message.chunk.data for message in stub.DownloadWeights(
                self.messages.DownloadWeightsRequest(run_id=run_id, round=-1)))

        def downloaded():
            try:
                return download()
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
                return None

        self.assertEqual(download(), undisturbed)
        for round_, damage in enumerate((
                lambda file: (file.seek(-1, os.SEEK_END), file.write(b"!")),
                lambda file: file.truncate(len(undisturbed) // 2),
                lambda file: file.truncate(0)), 1):
            with open(path, "r+b") as file:
                damage(file)
            self.assertEqual(wait_for("the rebuilt weights", downloaded), undisturbed)
            self.assertEqual(self.metric(coordinator, "digest_repairs_total", file="weights"), round_)
        self.assertEqual(self.get(stub, run_id).state, self.messages.RUN_STATE_RUNNING)
        self.upload(stub, self.lease(stub, worker), model_file(0.5))
        self.assertEqual(coordinator.terminate(), 0)

    def test_after_kill_the_folder_is_sound(self):
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        self.submit_run(stub)
        self.upload(stub, self.lease(stub, self.register(stub)), model_file(1.0))
        coordinator.kill()
        done = self.state("check", self.path("state"))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_weights_can_be_had_where_no_coordinator_will_start(self):
        run_id = self.make_state()
        self.damage("rounds", "sample_count")
        output = self.path("out.safetensors")
        done = self.state("export", self.path("state"), "--run", run_id, "--weights", output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("after 1 rounds", done.stdout)
        with open(output, "rb") as got, open(
                self.path(f"state/weights/{run_id}/00000001.safetensors"), "rb") as kept:
            self.assertEqual(got.read(), kept.read())
        exported = self.path("record.json")
        done = self.state("export", self.path("state"), "--output", exported)
        self.assertEqual(done.returncode, 1)
        self.assertIn("left out: table rounds", done.stderr)
        with open(exported) as file:
            self.assertEqual(json.load(file)["damaged"], [{"table": "rounds",
                                                           "row": f"{run_id}, 0"}])

    def test_wrong_usage_is_one_line(self):
        for arguments in (["state"], ["state", "check"], ["state", "chek", "x"],
                          ["state", "export", "x", "--run", "r"],
                          ["state", "check", "x", "--repare"]):
            done = run("coordinator", *arguments, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        done = self.state("check", self.path("none"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("no state folder", done.stderr)
        self.assertFalse(os.path.exists(self.path("none")))

    # Metrics.

    def scrape(self, coordinator):
        with urllib.request.urlopen(f"http://{coordinator.metrics_address}/metrics",
                                    timeout=30) as answer:
            return answer.read().decode()

    def busy_coordinator(self):
        """One that has done a little of everything that is counted."""
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        for value in (1.0, 0.5):
            self.upload(stub, self.lease(stub, worker), model_file(value))
        lease = self.lease(stub, worker)
        self.status_of(lambda: self.upload(stub, lease, model_file(float("nan"))))
        self.upload(stub, lease, model_file(0.25), "twice")
        self.assertTrue(self.upload(stub, lease, model_file(0.25), "twice"))
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
        list(stub.DownloadWeights(self.messages.DownloadWeightsRequest(run_id=run_id, round=1)))
        return coordinator

    def test_promtool_finds_nothing_wrong(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not there: install prometheus")
        text = self.scrape(self.busy_coordinator())
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_numbers_are_those_of_what_was_done(self):
        coordinator = self.busy_coordinator()
        size = len(model_file(1.0))
        for name, labels, value in (
                ("submitted_runs_total", {}, 1), ("runs", {"state": "running"}, 1),
                ("granted_leases_total", {"kind": "train"}, 2),
                ("ended_leases_total", {"outcome": "done"}, 3),
                ("accepted_uploads_total", {}, 3), ("uploaded_bytes_total", {}, 3 * size),
                ("duplicate_uploads_total", {}, 1), ("downloaded_bytes_total", {}, size),
                ("rejected_uploads_total", {"code": "INVALID_ARGUMENT"}, 1),
                ("rejected_deltas_total", {"reason": "non_finite"}, 1), ("strikes_total", {}, 1),
                ("averaged_rounds_total", {}, 1), ("averaging_seconds_count", {}, 1),
                ("tasks", {"kind": "train", "state": "free"}, 2), ("live_workers", {}, 1),
                ("requests_total", {"rpc": "SubmitRun", "code": "OK"}, 1),
                ("request_seconds_count", {"rpc": "UploadDelta"}, 5),
                ("nondeterminism_alarms_total", {}, 0), ("disk_full", {}, 0)):
            self.assertEqual(self.metric(coordinator, name, **labels), value, name)
        self.assertGreater(self.metric(coordinator, "free_bytes"), 0)

    def test_the_list_in_docs_is_what_is_shown(self):
        text = self.scrape(self.busy_coordinator())
        shown = {name: [kind, None, set()] for name, kind in
                 re.findall(rf"^# TYPE ({PREFIX}\S+) (\S+)$", text, re.M)}
        for name, meaning in re.findall(rf"^# HELP ({PREFIX}\S+) (.*)$", text, re.M):
            shown[name][1] = meaning
        for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.M):
            family = name if name in shown else re.sub("_(bucket|sum|count)$", "", name)
            shown[family][2] |= set(re.findall(r'(\w+)="', labels)) - {"le"}
        listed = listed_metrics(PREFIX)
        if os.environ.get("DISTILLERY_SHOW_METRICS"):
            for name in sorted(shown):
                kind, meaning, labels = shown[name]
                print(f"| `{name}` | {kind} | {', '.join(sorted(labels))} | {meaning} |",
                      file=sys.stderr)
        self.assertEqual(sorted(listed), sorted(shown))
        for name in shown:
            kind, meaning, labels = shown[name]
            self.assertEqual(listed[name], (kind, labels, meaning), name)


if __name__ == "__main__":
    unittest.main()
