#!/usr/bin/env python3
"""Faults 4 to 7 and 12: the coordinator ends at an exact moment, and goes on when it is back."""

import unittest

from failpoint_case import FailpointCase
from services import wait_for

# The first of a run's results is that of the initial weights.
SECOND_RESULT = "kill@2"


class CoordinatorCrashesTest(FailpointCase):
    def crash(self, lease=5, **arms):
        """A run whose coordinator is killed by a failpoint; its one worker lives."""
        self.start_coordinator(lease, **self.armed(**arms))
        worker = self.start_worker()
        self.submit_run()
        self.await_death(self.server)
        return worker

    def progress(self):
        """(completed rounds, weights of the newest, training results)"""
        return self.record("SELECT completed_rounds, weights_sha256, (SELECT COUNT(*) FROM tasks "
                           "WHERE kind=2 AND done=1) FROM runs")[0]

    def test_Fault04_a_result_that_was_recorded_is_a_duplicate_when_it_is_sent_again(self):
        worker = self.crash(coordinator_result_recorded=SECOND_RESULT)
        [(token, _, _, _, outcome)] = self.leases()
        self.assertEqual(outcome, "done", "it was recorded")
        self.assertNotIn(f"is done (token {token})", worker.log(), "and not acknowledged")
        self.restart_coordinator(lease=5)
        self.assert_finishes()
        self.assertIn(f"is done (token {token})", worker.log(), "the retry was OK")
        self.assertEqual([lease[0] for lease in self.leases("round=0 AND replica=0")], [token])

    def test_Fault05_a_result_that_was_not_recorded_is_sent_again(self):
        moments = ("coordinator_upload_chunk", "coordinator_spool_written",
                   "coordinator_spool_synced", "coordinator_spool_renamed",
                   "coordinator_result_recording")
        for moment in moments:
            with self.subTest(moment):
                worker = self.crash(**{moment: SECOND_RESULT})
                [(token, _, _, _, outcome)] = self.leases()
                self.assertEqual((outcome, self.progress()[2]), ("active", 0))
                self.restart_coordinator(lease=5)
                self.assert_finishes()
                self.assertIn("; trying again", worker.log())
                self.assertEqual(self.leases("round=0 AND replica=0"),
                                 [(token, 0, 0, "worker-0", "done")])
            self.clean()

    def test_Fault06_a_round_that_was_half_averaged_is_averaged_again(self):
        for hit in (1, 3):
            with self.subTest(hit):
                self.crash(coordinator_average_fragment=f"kill@{hit}")
                self.assertEqual(self.progress()[0], 0)
                self.restart_coordinator(lease=5)
                self.assert_finishes()
            self.clean()

    def test_Fault07_around_renames_and_commits_it_is_the_old_state_or_the_new(self):
        # (moment, completed rounds after it)
        moments = (("coordinator_average_written", "kill", 0),
                   ("coordinator_momentum_renamed", "kill", 0),
                   ("coordinator_weights_renamed", "kill", 0),
                   ("coordinator_round_recording", "kill", 0),
                   ("coordinator_round_recorded", "kill", 1),
                   ("files_renamed", "kill@9", 0),  # a spooled result
                   ("coordinator_run_ended", "kill", 3))
        for moment, act, completed in moments:
            with self.subTest(moment):
                self.crash(**{moment: act})
                rounds, weights, _ = self.progress()
                self.assertEqual(rounds, completed)
                recorded = self.record("SELECT weights_sha256 FROM rounds ORDER BY round")
                self.assertEqual(len(recorded), completed)
                if completed > 0:
                    self.assertEqual(weights, recorded[-1][0])
                self.restart_coordinator(lease=5)
                self.assert_finishes()
            self.clean()

    def test_Fault12_told_to_stop_it_ends_with_0_and_goes_on_in_the_same_round(self):
        self.start_coordinator(lease=5)
        worker = self.start_worker()
        self.submit_run()
        wait_for("a result in the second round", lambda: self.record(
            "SELECT 1 FROM tasks WHERE kind=2 AND done=1 AND round=1"))
        self.assertEqual(self.server.terminate(), 0, self.server.log())
        before = self.progress()
        self.assertIn(before[0], (1, 2))
        self.restart_coordinator(lease=5)
        wait_for("it to listen", lambda: self.server.log().count("listens on") == 2)
        self.assertGreaterEqual(self.progress(), before[:1])
        rounds = {round_number for _, round_number, _, _, _ in self.leases()}
        self.assertLessEqual(max(rounds), before[0] + 1, "no round is begun anew or left out")
        self.assert_finishes()
        self.assertEqual(worker.terminate(), 0, worker.log())

    def clean(self):
        """Before the next moment: another state folder."""
        self.tearDown()
        self.setUp()


if __name__ == "__main__":
    unittest.main()
