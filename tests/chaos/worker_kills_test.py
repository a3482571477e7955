#!/usr/bin/env python3
"""Workers that are killed with a task in their hands, seed after seed: the weights stay the same."""

import json
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import specs  # noqa: E402
from services import TeacherTestCase, run, wait_for  # noqa: E402

SEEDS = 20
WORKERS = 3
KILLS = 3  # of each seed
# In turn, so that every way for a result to travel and every student meets its kills.
VARIANTS = (
    dict(delta_encoding="int8", architecture="mlp:64-64-10,dropout=0.2"),
    dict(optimizer_state="average", delta_encoding="bfloat16"),
    dict(delta_encoding="float16", nesterov=True),
    dict(optimizer="adamw", optimizer_state="average"),
)


class WorkerKillsTest(TeacherTestCase):
    def held(self, run_id):
        """(token, worker) of the run's training tasks that are under lease."""
        return self.record(
            "SELECT l.fencing_token, w.name FROM leases l JOIN workers w USING (worker_id) "
            f"WHERE l.outcome='active' AND l.kind=2 AND l.run_id='{run_id}'")

    def ended(self, run_id):
        return self.record(f"SELECT 1 FROM runs WHERE run_id='{run_id}' AND state NOT IN (1, 2)")

    def start_worker(self, name):
        self.workers[name] = self.worker(name, self.server.address, self.teacher_process.address)

    def kill_a_holder(self, run_id, generator):
        """SIGKILL to a worker within its task, unless the run ends before."""
        def holder():
            if self.ended(run_id):
                return ("ended", None)
            held = [row for row in self.held(run_id) if row[0] not in self.struck]
            return generator.choice(held) if held else None

        token, name = wait_for("a worker to hold a task", holder)
        if token == "ended":
            return
        self.struck.add(token)
        # Anywhere between the first batch and the upload.
        time.sleep(generator.random() * 0.15)
        self.workers[name].kill()
        self.start_worker(name)

    def test_Fault01_twenty_seeds_of_kills_change_no_bit(self):
        self.server = self.coordinator("--lease-seconds", 1)
        self.teacher_process = self.teacher(self.teacher_file)
        self.workers = {}
        self.struck = set()  # tokens of leases whose holder was killed
        for i in range(WORKERS):
            self.start_worker(f"worker-{i}")
        lost_in_all = 0
        for seed in range(SEEDS):
            spec = self.write("run.yaml", specs.digits(
                self.teacher_file, seed=seed, **{"rounds": 2, "local_epochs": 12,
                                                 **VARIANTS[seed % len(VARIANTS)]}))
            expected = json.loads(run("distillery", "run", spec, "--output",
                                      self.path(f"one-{seed}"), "--json").stdout)["run"]
            generator = random.Random(seed)
            run_id = self.submit(spec, self.server.address)
            for _ in range(KILLS):
                self.kill_a_holder(run_id, generator)
            done = self.finish(run_id, self.server.address)
            self.assertEqual(done["weights_sha256"], expected["weights_sha256"], f"seed {seed}")
            self.assertLessEqual(int(done["lost_lease_count"]), KILLS)
            counted = self.record(
                "SELECT round, replica, COUNT(*) FROM leases WHERE outcome='done' AND kind=2 "
                f"AND run_id='{run_id}' GROUP BY round, replica")
            self.assertEqual([count for _, _, count in counted], [1] * 10, f"seed {seed}")
            lost_in_all += int(done["lost_lease_count"])
        print(f"{SEEDS} seeds, {lost_in_all} leases lost with work in them", file=sys.stderr)
        # Else the kills came too late to prove anything.
        self.assertGreaterEqual(lost_in_all, SEEDS)


if __name__ == "__main__":
    unittest.main()
