#!/usr/bin/env python3
"""What chaos_driver.py plans, and that its summary says what is missing."""

import collections
import os
import re
import unittest

import chaos_driver
import failpoints
import invariants
from process_killer import KILL, PAUSE

FOLDERS = {"coordinator": "coordinator", "teacher": "teacher_service", "worker": "student_worker",
           "files": "common"}


class FailpointNames(unittest.TestCase):
    def test_each_name_is_a_place_in_its_program(self):
        names = failpoints.names()
        self.assertGreater(len(names), 30)
        for name in names:
            folder = os.path.join(failpoints.SOURCE, FOLDERS[name.split(".", 1)[0]])
            places = 0
            for path, _, files in os.walk(folder):
                for file in files:
                    if file.endswith(".cc"):
                        with open(os.path.join(path, file)) as source:
                            places += source.read().count(f'DISTILLERY_FAILPOINT("{name}")')
            self.assertEqual(places, 1, name)

    def test_limits_are_of_names_that_there_are(self):
        self.assertLessEqual(set(chaos_driver.MOST_HITS), set(failpoints.names()))


class Schedule(unittest.TestCase):
    def test_it_is_a_function_of_the_seed(self):
        for seed in range(50):
            self.assertEqual(chaos_driver.schedule(seed), chaos_driver.schedule(seed))
        self.assertNotEqual(chaos_driver.schedule(1), chaos_driver.schedule(26))

    def test_any_25_seeds_in_a_row_arm_every_failpoint_and_kill_a_worker_each(self):
        for first in (1, 7, 110):
            armed = collections.Counter()
            for seed in range(first, first + chaos_driver.PERIOD):
                schedule = chaos_driver.schedule(seed)
                for role, arms in schedule.arms.items():
                    for name, act in arms.items():
                        self.assertEqual(failpoints.program_of(name), role.split("-")[0])
                        self.assertRegex(act, r"^(kill|stop)@[1-9]\d*$")
                    armed.update(arms.keys())
                self.assertGreaterEqual(sum(
                    strike.role.startswith("worker") and
                    (strike.action == KILL or strike.pause_seconds > chaos_driver.LEASE)
                    for strike in schedule.strikes), 2)
            self.assertEqual(set(armed), set(failpoints.names()))
            self.assertGreaterEqual(min(armed.values()), chaos_driver.COPIES)

    def test_all_actions_and_roles_have_their_turn(self):
        struck = {(strike.action, strike.role.split("-")[0]) for seed in range(1, 26)
                  for strike in chaos_driver.schedule(seed).strikes}
        self.assertEqual(len(struck), 9, struck)
        self.assertIn((PAUSE, "coordinator"), struck)


class SummaryTest(unittest.TestCase):
    def summary(self, seeds):
        summary = chaos_driver.Summary()
        summary.seeds = seeds
        summary.hits.update(failpoints.names())
        summary.lost_with_work = chaos_driver.FEWEST_LOST
        summary.failovers = chaos_driver.FEWEST_FAILOVERS
        return summary

    def test_a_full_period_misses_what_it_did_not_meet(self):
        self.assertEqual(self.summary(25).missing(), [])
        poor = self.summary(25)
        del poor.hits["files.renamed"]
        poor.lost_with_work -= 1
        poor.failovers -= 1
        self.assertEqual(len(poor.missing()), 3)
        self.assertIn("files.renamed", poor.missing()[0])
        poor.seeds = 24
        self.assertEqual(poor.missing(), [], "few seeds need not meet all")


class Invariants(unittest.TestCase):
    """They can fail."""

    def setUp(self):
        self.record = invariants.Record("/nonexistent")
        self.alarms = [(0, 0)]
        self.record.query = lambda _: self.alarms
        # token: run, kind, round, replica, worker, granted, ended, outcome
        self.record.leases = {
            1: ("run", 2, 0, 0, "a", 10, 20, "expired"),
            2: ("run", 2, 0, 0, "b", 20, 30, "done"),
            3: ("run", 2, 0, 1, "a", 10, 40, "done")}
        self.record.results = {("run", 2, 0, 0): ("x", "y"), ("run", 2, 0, 1): ("x", "y")}

    def check(self):
        return invariants.check_counts(self.record, "run", 1, 2)

    def test_counts(self):
        self.assertEqual(self.check(), [])
        for token, lease, reason in (
                (4, ("run", 2, 0, 1, "b", 20, 30, "done"), "I1: counted"),
                (4, ("run", 2, 0, 1, "b", 50, 60, "expired"), "leased again"),
                (4, ("run", 2, 0, 1, "b", 20, 0, "active"), "still active"),
                (4, ("run", 2, 0, 1, "b", 20, 30, "failed"), "a task failed")):
            self.record.leases[token] = lease
            self.assertRegex("\n".join(self.check()), reason)
            del self.record.leases[token]
        self.alarms = [(1, 1)]
        self.assertRegex("\n".join(self.check()), "I4: two workers")
        del self.record.leases[3]
        self.assertRegex("\n".join(self.check()), "I1: counted")

    def test_what_was_seen_stays(self):
        self.record._keep("round", self.record.rounds, {("run", 0): "sha"})
        self.assertEqual(self.record.violations, [])
        self.record._keep("round", self.record.rounds, {})
        self.assertRegex(self.record.violations[0], "^I2: round")

    def test_acknowledged_and_lost(self):
        log = "12:00 D run train round 0 replica 0 trains (token 1)\n" \
              "12:00 D run train round 0 replica 0 is done (token 2)\n"
        self.assertEqual(invariants.check_acknowledged(self.record, [log]), [])
        self.assertEqual(invariants.lost_with_work(self.record, [log]), 1)
        log = log.replace("token 2", "token 1")
        self.assertRegex(invariants.check_acknowledged(self.record, [log])[0], "^I2: ")
        # The same bits as a faster worker's: fine if that one's are recorded.
        slower = log.replace("token 1)", "token 9)")
        task = self.record.leases[2][:4]
        self.record.leases[9] = (*task, "d", 10, 20, "superseded")
        self.assertEqual(invariants.check_acknowledged(self.record, [slower]), [])
        self.record.leases[2] = (*task, *self.record.leases[2][4:-1], "expired")
        self.assertRegex(invariants.check_acknowledged(self.record, [slower])[0], "^I2: ")

    def test_statuses_in_logs(self):
        harmless = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1"
        self.assertEqual(invariants.check_logs({"a": harmless}), [])
        self.assertTrue(re.match("I8: a", invariants.check_logs({"a": "UNKNOWN: x"})[0]))

    def test_finite(self):
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        file = len(header).to_bytes(8, "little") + header
        self.assertTrue(invariants.finite(file + b"\0\0\x80\x3f"))
        self.assertFalse(invariants.finite(file + b"\0\0\x80\x7f"))


if __name__ == "__main__":
    unittest.main()
