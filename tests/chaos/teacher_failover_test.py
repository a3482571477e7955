#!/usr/bin/env python3
"""Fault 9: one of two teachers dies in mid-stream, ten times; not a bit of the result changes."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import specs
from process_killer import ProcessKiller, plan
from services import TeacherTestCase
from tcp_proxy import TcpProxy

SEED = 1
STRIKES = 10
SLOW = 10_000  # bytes per second: a shard of 64 rows then takes a third of a second


class TeacherFailoverTest(TeacherTestCase):
    def start_teacher(self, role, address):
        """Small cuts, so that a shard is a stream of many messages."""
        arguments = ("teacher_service", "--model", self.teacher_file, "--batch-rows", 8,
                     "--compute-slots", 1)
        if address is None:
            return self.listen(role, *arguments)
        return self.start(role, *arguments, "--listen", address)

    def one_run(self, name, spec_path, coordinator, teachers, disturb=lambda run_id: None):
        workers = [self.worker(f"{name}-{i}", coordinator.address, ",".join(teachers))
                   for i in range(2)]
        run_id = self.submit(spec_path, coordinator.address)
        disturb(run_id)
        done = self.finish(run_id, coordinator.address)
        for worker in workers:
            self.assertEqual(worker.terminate(), 0, worker.log())
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        outcomes = {outcome for (outcome,) in self.record(
            f"SELECT DISTINCT outcome FROM leases WHERE run_id='{run_id}'")}
        self.assertEqual(outcomes, {"done"}, "no task failed or was done twice")
        return done

    def test_Fault09_ten_deaths_of_teachers_in_mid_stream_change_nothing(self):
        coordinator = self.coordinator()
        teachers = {role: self.start_teacher(role, None) for role in ("teacher-0", "teacher-1")}
        addresses = {role: teacher.address for role, teacher in teachers.items()}
        starts = dict.fromkeys(teachers, 1)
        spec_path = self.write("run.yaml", specs.digits(self.teacher_file))
        calm = self.one_run("calm", spec_path, coordinator, addresses.values())

        proxies = {role: TcpProxy(address, bandwidth=SLOW) for role, address in addresses.items()}
        for proxy in proxies.values():
            self.addCleanup(proxy.close)
        counted = dict.fromkeys(proxies, 0)

        def restart(role):
            # A machine that dies takes along what it had sent and nobody had received.
            proxies[role].reset_all()
            counted[role] = proxies[role].bytes_to_client
            starts[role] += 1
            return self.start_teacher(role, addresses[role])

        strikes = plan(SEED, sorted(teachers), STRIKES)

        def streams(strike):
            """It serves, and has sent up to two shards: how much is the plan's to say."""
            process = killer.processes[strike.role]
            fraction = strike.at * STRIKES % 1
            return (process.log().count("listens on") == starts[strike.role] and
                    proxies[strike.role].bytes_to_client - counted[strike.role] >
                    1000 + 5000 * fraction)

        killer = ProcessKiller(teachers, restart, log=self.path("killer.jsonl"))

        def strike_ten_times(run_id):
            killer.run_when(strikes, streams, over=lambda: self.record(
                f"SELECT 1 FROM runs WHERE run_id='{run_id}' AND completed_rounds=5"))
            self.assertEqual(killer.done, strikes, "the run was over too early")
            for proxy in proxies.values():
                proxy.clear()

        stormy = self.one_run("stormy", spec_path, coordinator,
                              [proxy.address for proxy in proxies.values()], strike_ten_times)
        self.assertEqual(stormy["weights_sha256"], calm["weights_sha256"])
        self.assertEqual(stormy["teacher_digest"], calm["teacher_digest"])

        def failovers(run):
            return self.record("SELECT SUM(teacher_failover_count) FROM rounds WHERE run_id="
                               f"'{run['run_id']}'")[0][0]
        self.assertEqual(failovers(calm), 0)
        self.assertGreaterEqual(failovers(stormy), 1)
        print(f"{failovers(stormy)} fail-overs in mid-stream", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
