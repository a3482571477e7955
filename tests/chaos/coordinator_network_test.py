#!/usr/bin/env python3
"""Faults 17 to 20: the network between a coordinator and its workers misbehaves."""

import sys
import time
import unittest

from failpoint_case import FailpointCase
from services import wait_for
from tcp_proxy import TO_CLIENT, TcpProxy

FAR = {"delay": 0.2, "stall": 0.5, "stall_bytes": 16 * 1024}
KEEPALIVE_SECONDS = 30 + 10  # a ping after 30 s of silence, 10 s for its answer


class CoordinatorNetworkTest(FailpointCase):
    def start_far(self, lease=4, count=2, **faults):
        """A run whose workers reach the coordinator through a proxy."""
        self.start_coordinator(lease)
        self.proxy = TcpProxy(self.server.address, **faults)
        self.addCleanup(self.proxy.close)
        self.workers = [self.start_worker(f"worker-{i}", self.proxy.address) for i in range(count)]
        self.submit_run()

    def await_round(self, completed):
        wait_for(f"{completed} rounds", lambda: self.record(
            f"SELECT 1 FROM runs WHERE completed_rounds>={completed}"))

    def test_Fault18_a_far_and_moody_line_loses_no_lease(self):
        self.start_far(**FAR)
        self.assert_finishes(lost=0)
        self.assertEqual(self.proxy.connection_count, 2, "it was never given up")

    def cut_in_the_middle(self):
        """Swallows the coordinator's answers from now on; returns how many leases there were. 0, and the
        line is whole again: what was swallowed may be a lease that its worker never heard of."""
        def all_begun():
            log = self.workers[0].log()
            return all(f"begins (token {lease[0]})" in log for lease in self.leases())

        self.proxy.set(one_way=TO_CLIENT)
        if self.leases("l.outcome='active'") and all_begun():
            return len(self.leases())
        self.proxy.set(one_way="")
        self.proxy.reset_all()
        wait_for("the worker to hear of its lease", all_begun)
        return 0

    def test_Fault19_results_whose_answers_were_lost_are_counted_once(self):
        # Leases outlive the cut, so that only repetition can make a second result.
        self.start_far(lease=60, count=1)
        wait_for("a result", lambda: self.leases("l.outcome='done'"))
        before = wait_for("a task in the middle", self.cut_in_the_middle)
        wait_for("another that nobody hears of", lambda: len(
            self.leases("l.outcome='done'")) >= before)
        time.sleep(0.3)
        # What was swallowed is gone, so the connection is as well.
        self.proxy.set(one_way="")
        self.proxy.reset_all()
        self.assert_finishes(lost=0)
        tasks = [lease[1:3] for lease in self.leases()]
        self.assertEqual(len(tasks), len(set(tasks)), "no task was done twice")

    def test_Fault20_resets_every_two_seconds_do_not_stop_progress(self):
        # 2.9 MB of weights take longer than a connection lives, either way: to arrive at all they
        # go on where they broke off.
        self.spec, self.expected = self.undisturbed(
            "large", architecture="mlp:64-1024-640-10", rounds=1, replicas=2, local_epochs=1)
        self.start_far(lease=10, count=1, bandwidth=1.2e6, reset_every=2)
        self.assert_finishes(lost=0)
        self.assertGreater(self.proxy.connection_count, 4, "each transfer saw a reset")

    def test_Fault17_a_coordinator_that_vanishes_is_noticed_within_40_seconds(self):
        self.start_far(lease=3, count=1)
        self.await_round(1)
        self.proxy.set(blackhole=True)
        start = time.monotonic()
        self.start_worker("near")
        self.assert_finishes(lost=None)
        connections = self.proxy.connection_count
        wait_for("the worker to give the connection up",
                 lambda: self.proxy.connection_count > connections)
        took = time.monotonic() - start
        print(f"black hole: given up after {took:.1f} s", file=sys.stderr)
        self.assertLess(took, KEEPALIVE_SECONDS + 2)
        self.proxy.set(blackhole=False)
        self.submit_run_again_for("worker-0")

    def submit_run_again_for(self, worker):
        """The far worker is of use again: alone, it does a run."""
        for process in self.processes:
            if process.label == "near":
                self.assertEqual(process.terminate(), 0)
        run_id = self.submit(self.spec, self.server.address)
        done = self.finish(run_id, self.server.address)
        self.assertEqual(done["weights_sha256"], self.expected)
        self.assertEqual({name for *_, name, _ in self.leases(f"run_id='{run_id}'")}, {worker})


if __name__ == "__main__":
    unittest.main()
