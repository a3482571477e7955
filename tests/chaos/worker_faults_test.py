#!/usr/bin/env python3
"""Faults 2, 3, 14, 15, 33 and 64: workers end, stop or come at an exact moment."""

import os
import signal
import sys
import time
import unittest

try:
    import grpc
except ImportError as missing:
    print(f"skipped: {missing}; install python3-grpcio")
    sys.exit(77)

from failpoint_case import LEASE, FailpointCase
from services import program, wait_for

SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse


def health(address):
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20)


class WorkerFaultsTest(FailpointCase):
    def test_Fault64_heartbeats_go_on_when_the_wall_clock_steps_back(self):
        self.start_coordinator()
        stepped = self.path("stepped")
        # The task waits for its teacher for as long as is needed, and its lease is renewed.
        waiting = self.worker("waiting", self.server.address, "127.0.0.1:1", environment={
            "LD_PRELOAD": program("step_back.so"), "STEP_BACK_FILE": stepped})
        self.submit_run()
        wait_for("a training task", lambda: self.leases("l.outcome='active'"))
        [(token, *_)] = self.leases()
        with open(stepped, "w"):
            pass
        time.sleep(5 * LEASE)
        self.assertEqual([(lease[0], lease[-1]) for lease in self.leases()], [(token, "active")])
        self.assertIsNone(waiting.child.poll())

    def test_Fault02_a_result_whose_sender_died_before_the_answer_is_counted_once(self):
        self.start_coordinator()
        # The first upload is that of the initial weights.
        victim = self.start_worker("victim", **self.armed(worker_upload_sent="stop@2"))
        self.submit_run()
        self.await_stop()
        [(token, _, _, _, _)] = self.leases()
        wait_for("the result to be recorded", lambda: self.leases("l.outcome='done'"))
        victim.kill()
        self.assertNotIn(f"is done (token {token})", victim.log())
        self.start_worker("heir")
        self.assert_finishes()
        self.assertEqual(self.leases("round=0 AND replica=0"), [(token, 0, 0, "victim", "done")])

    def test_Fault03_a_result_that_comes_after_its_lease_is_dropped(self):
        self.start_coordinator()
        sleeper = self.start_worker("sleeper", **self.armed(worker_upload_begin="stop"))
        self.submit_run()
        self.await_stop()
        [(old, _, _, _, _)] = self.leases()
        self.start_worker("other")
        wait_for("another to do the task", lambda: self.leases(
            "round=0 AND replica=0 AND l.outcome='done'"))
        sleeper.signal(signal.SIGCONT)
        wait_for("the sleeper to learn of it",
                 lambda: "is dropped, its lease has ended" in sleeper.log())
        self.assertIn(f"lease {old} on ", sleeper.log())
        self.assertNotIn(f"is done (token {old})", sleeper.log())
        self.assert_finishes(lost=1)
        (first, *_, first_outcome), (second, *_, worker, outcome) = self.leases(
            "round=0 AND replica=0")
        self.assertEqual((first, first_outcome), (old, "expired"))
        self.assertEqual((worker, outcome), ("other", "done"))
        self.assertGreater(second, first)
        self.assertIsNone(sleeper.child.poll(), "it goes on with other tasks")
        self.assertEqual(sleeper.terminate(), 0)

    def test_Fault14_without_workers_a_run_waits_and_goes_on_when_one_comes(self):
        self.start_coordinator()
        workers = [self.start_worker(f"worker-{i}") for i in range(2)]
        self.submit_run()
        wait_for("the second round", lambda: self.record(
            "SELECT 1 FROM runs WHERE completed_rounds>=1"))
        for worker in workers:
            worker.kill()
        wait_for("their leases to end", lambda: not self.leases("l.outcome='active'"))
        self.assertEqual(health(self.server.address), SERVING)
        state, = self.record("SELECT state FROM runs")
        self.assertEqual(state, (2,), "it runs, though nobody works for it")
        lost = self.leases("l.outcome='expired'")
        self.assertLessEqual(len(lost), 2)
        self.start_worker("late")
        self.assert_finishes(lost=None)
        self.assertEqual(self.leases("l.outcome='expired'"), lost)

    def test_Fault15_a_worker_that_joins_in_mid_round_shares_it(self):
        # Holds one task of the second round until the other has joined: long before the lease ends.
        self.start_coordinator(lease=60)
        first = self.start_worker("first", **self.armed(worker_train_step="stop@550"))
        self.submit_run()
        self.await_stop()
        [(held, round_number, _, _, _)] = self.leases("l.outcome='active'")
        self.start_worker("second")
        wait_for("the second to share the round", lambda: self.leases(
            f"w.name='second' AND l.outcome='done' AND round={round_number}"))
        first.signal(signal.SIGCONT)
        self.assert_finishes()
        self.assertEqual(self.leases(f"fencing_token={held}")[0][-2:], ("first", "done"))
        self.assertEqual({worker for *_, worker, _ in self.leases()}, {"first", "second"})
        # No task was leased twice.
        tasks = [lease[1:3] for lease in self.leases()]
        self.assertEqual(len(tasks), len(set(tasks)))

    def test_Fault33_a_worker_that_is_killed_for_memory_loses_its_lease_alone(self):
        self.start_coordinator()
        # The kernel's killer sends SIGKILL to who holds most: a worker with model, optimizer and delta.
        victim = self.start_worker("victim", **self.armed(worker_upload_begin="kill"))
        self.submit_run()
        self.await_death(victim)
        self.start_worker("heir")
        self.assert_finishes(lost=1)
        (_, _, _, worker, outcome), (_, _, _, heir, done) = self.leases("round=0 AND replica=0")
        self.assertEqual((worker, outcome, heir, done), ("victim", "expired", "heir", "done"))


if __name__ == "__main__":
    unittest.main()
