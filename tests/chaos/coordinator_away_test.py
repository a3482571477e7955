#!/usr/bin/env python3
"""A coordinator that is away: workers come back to it, and not in a storm."""

import os
import selectors
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import specs  # noqa: E402
from services import TeacherTestCase, wait_for  # noqa: E402

AWAY = 60  # seconds
WORKERS = 4


def count_connections(address, seconds):
    """Listens in the coordinator's place and hangs up on whoever comes; returns the moments."""
    host, port = address.rsplit(":", 1)
    moments = []
    with socket.socket() as server, selectors.DefaultSelector() as selector:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, int(port)))
        server.listen(100)
        selector.register(server, selectors.EVENT_READ)
        start = time.monotonic()
        while (left := start + seconds - time.monotonic()) > 0:
            if selector.select(left):
                server.accept()[0].close()
                moments.append(time.monotonic() - start)
    return moments


class CoordinatorAwayTest(TeacherTestCase):
    def test_Fault08_workers_back_off_and_go_on(self):
        coordinator = self.coordinator("--lease-seconds", 2)
        address = coordinator.address
        teacher = self.teacher(self.teacher_file)
        workers = [self.worker(f"worker-{i}", address, teacher.address) for i in range(WORKERS)]
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=4, local_epochs=20))
        run_id = self.submit(spec, address)
        wait_for("the first round", lambda: self.record(
            "SELECT 1 FROM runs WHERE completed_rounds>=1"))
        coordinator.kill()
        moments = count_connections(address, AWAY)
        # Each worker asks at most once a second or so, and less often as time goes on.
        self.assertGreater(len(moments), 0)
        self.assertLess(len(moments), WORKERS * AWAY)
        late = [moment for moment in moments if moment > AWAY / 2]
        self.assertLess(len(late), len(moments) / 2 + WORKERS)
        # Not in step: the attempts of a second are never all workers' at one instant.
        instants = {round(moment, 2) for moment in moments}
        self.assertGreater(len(instants), len(moments) / 2)
        print(f"{len(moments)} connections of {WORKERS} workers in {AWAY} s, {len(late)} of them "
              "in the second half", file=sys.stderr)
        for worker in workers:
            self.assertIsNone(worker.child.poll(), worker.log())
        self.start("coordinator", "coordinator", "--state-dir", self.path("state"), "--listen",
                   address, "--lease-seconds", 2)
        done = self.finish(run_id, address)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        for worker in workers:
            self.assertEqual(worker.terminate(), 0, worker.log())


if __name__ == "__main__":
    unittest.main()
