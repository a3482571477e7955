#!/usr/bin/env python3
"""One RunSpec gives one SHA-256, whoever does the work and whatever dies on the way."""

import json
import unittest

import specs
from services import TeacherTestCase, run, wait_for

STUDENTS = {
    "plain": dict(architecture="mlp:64-48-10"),
    "dropout": dict(architecture="mlp:64-64-10,dropout=0.2", nesterov=True),
}


# Further students and ways for deltas to travel; small, since all are trained at once.
MORE = {
    "float16": dict(delta_encoding="float16"),
    "bfloat16": dict(delta_encoding="bfloat16"),
    "float16-both-ways": dict(delta_encoding="float16", broadcast_encoding="float16"),
    "int8": dict(delta_encoding="int8", architecture="mlp:64-64-10,dropout=0.2"),
    "carried": dict(optimizer_state="average"),
    "carried-adamw": dict(optimizer_state="average", optimizer="adamw", delta_encoding="int8"),
    "batch-norm": dict(architecture="resnet8", delta_encoding="float16", rounds=2, local_epochs=1),
}


class IdentityTest(TeacherTestCase):
    def spec(self, name="run.yaml", **options):
        return self.write(name, specs.digits(self.teacher_file, **options))

    def in_one_process(self, spec_path, folder):
        done = run("distillery", "run", spec_path, "--output", self.path(folder), "--json")
        return json.loads(done.stdout)["run"]

    def with_workers(self, spec_path, coordinator, teacher, count):
        workers = [self.worker(f"worker-{count}-{i}", coordinator.address, teacher.address)
                   for i in range(count)]
        done = self.finish(self.submit(spec_path, coordinator.address), coordinator.address)
        for worker in workers:
            self.assertEqual(worker.terminate(), 0, worker.log())
        return done

    def test_the_number_of_workers_does_not_change_a_bit(self):
        coordinator = self.coordinator()
        teacher = self.teacher(self.teacher_file)
        for name, student in STUDENTS.items():
            spec_path = self.spec(**student)
            one_process = self.in_one_process(spec_path, name)
            sha256 = one_process["weights_sha256"]
            for count in (1, 3, 7):
                done = self.with_workers(spec_path, coordinator, teacher, count)
                self.assertEqual(done["weights_sha256"], sha256, f"{name}, {count} workers")
                self.assertFalse(done["inexact"])
            self.assertNotEqual(sha256, one_process["initial_weights_sha256"])
            evaluation = one_process["latest_evaluation"]
            accuracy = int(evaluation["correct_count"]) / int(evaluation["sample_count"])
            self.assertGreaterEqual(accuracy, 0.95, name)
            other_seed = self.in_one_process(self.spec(seed=2, **student), name + "-2")
            self.assertNotEqual(other_seed["weights_sha256"], sha256, name)

    def test_nor_do_encodings_carried_state_and_batch_norm(self):
        spec_paths = {name: self.spec(name + ".yaml", **{"rounds": 3, "local_epochs": 2, **options})
                      for name, options in MORE.items()}
        expected = {name: self.in_one_process(path, name)["weights_sha256"]
                    for name, path in spec_paths.items()}
        self.assertEqual(len(set(expected.values())), len(expected))
        coordinator = self.coordinator()
        teacher = self.teacher(self.teacher_file)
        for count in (1, 3, 7):
            workers = [self.worker(f"worker-{count}-{i}", coordinator.address, teacher.address)
                       for i in range(count)]
            # All at once: tasks of six runs come to each worker in any order.
            run_ids = {name: self.submit(path, coordinator.address)
                       for name, path in spec_paths.items()}
            for name, run_id in run_ids.items():
                done = self.finish(run_id, coordinator.address)
                self.assertEqual(done["weights_sha256"], expected[name], f"{name}, {count} workers")
            for worker in workers:
                self.assertEqual(worker.terminate(), 0, worker.log())

    def test_Fault01_a_killed_worker_changes_nothing_and_its_lease_is_lost(self):
        for name, student in STUDENTS.items():
            spec_path = self.spec(**student)
            expected = self.in_one_process(spec_path, name)["weights_sha256"]
            coordinator = self.coordinator("--lease-seconds", 1)
            teacher = self.teacher(self.teacher_file)
            victim = self.worker("victim", coordinator.address, teacher.address)
            run_id = self.submit(spec_path, coordinator.address)
            held = f"SELECT fencing_token FROM leases WHERE outcome='active' AND kind=2 AND run_id='{run_id}'"
            lost = wait_for("the victim to hold a task", lambda: self.held_while_stopped(victim, held))
            victim.kill()
            self.worker("heir", coordinator.address, teacher.address)
            done = self.finish(run_id, coordinator.address)
            self.assertEqual(done["weights_sha256"], expected, name)
            self.assertEqual(int(done["lost_lease_count"]), 1)
            outcome = self.record(f"SELECT outcome FROM leases WHERE fencing_token={lost[0]}")
            self.assertEqual(outcome, [("expired",)])
            self.one_result_per_task(run_id, done)
            for process in self.processes:
                process.terminate()

    def test_a_killed_coordinator_goes_on_to_the_same_weights(self):
        spec_path = self.spec(**STUDENTS["dropout"])
        expected = self.in_one_process(spec_path, "one")["weights_sha256"]
        coordinator = self.coordinator("--lease-seconds", 2)
        teacher = self.teacher(self.teacher_file)
        port = coordinator.address
        for i in range(2):
            self.worker(f"worker-{i}", coordinator.address, teacher.address)
        run_id = self.submit(spec_path, port)
        for round_number in (1, 3):
            wait_for(f"round {round_number}", lambda: self.record(
                f"SELECT 1 FROM runs WHERE completed_rounds>={round_number}"))
            coordinator.kill()
            coordinator = self.start("coordinator", "coordinator", "--state-dir",
                                     self.path("state"), "--listen", port, "--lease-seconds", 2)
        done = self.finish(run_id, port)
        self.assertEqual(done["weights_sha256"], expected)
        self.one_result_per_task(run_id, done)
        self.assertEqual(coordinator.terminate(), 0, coordinator.log())

    def test_Fault13_a_worker_told_to_stop_gives_its_task_back_at_once(self):
        # A lease far longer than the test: only a release can free the task in time.
        coordinator = self.coordinator("--lease-seconds", 600)
        teacher = self.teacher(self.teacher_file)
        spec_path = self.spec(rounds=2, local_epochs=60)
        leaver = self.worker("leaver", coordinator.address, teacher.address)
        run_id = self.submit(spec_path, coordinator.address)
        active = "SELECT fencing_token FROM leases WHERE outcome='active' AND kind=2"
        token = wait_for("a training task", lambda: self.record(active))[0][0]
        self.assertEqual(leaver.terminate(), 0, leaver.log())
        self.worker("heir", coordinator.address, teacher.address)
        done = self.finish(run_id, coordinator.address)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        self.assertEqual(int(done["lost_lease_count"]), 0)
        outcomes = dict(self.record("SELECT fencing_token, outcome FROM leases"))
        self.assertIn(outcomes[token], ("released", "done"))
        self.assertNotIn("expired", outcomes.values())


if __name__ == "__main__":
    unittest.main()
