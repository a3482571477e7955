#!/usr/bin/env python3
"""Faults 27 and 28: a coordinator whose disk is full, and one whose disk fails to sync."""

import glob
import os
import subprocess
import unittest
from errno import EIO, ENOSPC

from bare_coordinator import (ELEMENTS, OK, BareCoordinatorCase, grpc, model_file, wait_for)

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
LARGE = 64 * ELEMENTS  # elements: 1 MiB


class CoordinatorDisk(BareCoordinatorCase):
    def small_disk(self, size):
        """A file system of its own of so many bytes, or the test is skipped."""
        path = self.path("disk")
        os.makedirs(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path],
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a small file system here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path])
        return path

    def fill(self, disk):
        """Takes all room that is left; returns the file that takes it."""
        ballast = os.path.join(disk, "ballast")
        with open(ballast, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        return ballast

    def train_round(self, stub, worker, deltas):
        for delta in deltas:
            self.upload(stub, self.lease(stub, worker, wait=20), delta)

    def test_Fault27_a_full_disk_pauses_runs_and_they_go_on_by_themselves(self):
        disk = self.small_disk(16 << 20)
        state = os.path.join(disk, "state")
        coordinator = self.start_coordinator(state=state)
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        self.upload(stub, self.lease(stub, worker), model_file(1.0, LARGE))
        self.upload(stub, self.lease(stub, worker), model_file(0.5, LARGE))
        second = self.lease(stub, worker)
        ballast = self.fill(disk)

        code, text = self.status_of(
            lambda: self.upload(stub, second, model_file(0.25, LARGE), "second"))
        self.assertEqual(code, RESOURCE_EXHAUSTED, text)
        self.assertNotIn(disk, text, "no local path leaves the process")
        run = self.get(stub, run_id)
        self.assertIn("disk is full", run.state_reason)
        self.assertEqual(self.metric(coordinator, "disk_full"), 1)
        self.assertIsNone(self.lease(stub, self.register_or_none(stub) or worker))
        # Nothing was acknowledged, and the record says so.
        self.assertEqual(self.record_of(state, "SELECT count(*) FROM tasks WHERE done AND kind = 2"),
                         [(1,)])
        code, text = self.status_of(lambda: self.submit_run(stub))
        self.assertEqual(code, RESOURCE_EXHAUSTED, text)
        self.assertIsNone(coordinator.child.poll())

        os.remove(ballast)
        wait_for("the run to go on by itself",
                 lambda: self.metric(coordinator, "disk_full") == 0)
        self.assertNotIn("disk", self.get(stub, run_id).state_reason)
        again = self.lease(stub, worker, wait=20)
        self.assertEqual((again.round, again.replica), (0, 1))
        self.assertFalse(self.upload(stub, again, model_file(0.25, LARGE), "second"))
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
        self.assertGreaterEqual(self.metric(coordinator, "disk_full_pauses_total"), 1)
        disturbed = self.get(stub, run_id).weights_sha256

        # The same deltas on a disk with room give the same bytes.
        self.assertEqual(coordinator.terminate(), 0)
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        self.train_round(stub, worker, [model_file(1.0, LARGE), model_file(0.5, LARGE),
                                        model_file(0.25, LARGE)])
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
        self.assertEqual(self.get(stub, run_id).weights_sha256, disturbed)

    def test_Fault27_averaging_waits_for_room(self):
        disk = self.small_disk(16 << 20)
        coordinator = self.start_coordinator(state=os.path.join(disk, "state"))
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub, rounds=6)
        worker = self.register(stub)
        self.upload(stub, self.lease(stub, worker), model_file(1.0, LARGE))
        # Room for the second result and its row, and for half of the weights.
        self.upload(stub, self.lease(stub, worker), model_file(0.5, LARGE))
        second = self.lease(stub, worker)
        ballast = self.fill(disk)
        with open(ballast, "r+b") as file:
            file.truncate(os.path.getsize(ballast) - (3 << 19))
        self.assertEqual(self.status_of(
            lambda: self.upload(stub, second, model_file(0.25, LARGE))), (OK, ""))
        wait_for("averaging to meet the full disk",
                 lambda: self.metric(coordinator, "disk_full_pauses_total") >= 1)
        self.assertEqual(self.get(stub, run_id).completed_round_count, 0)
        os.remove(ballast)
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)

    def start_with_libfiu(self, name):
        """(a coordinator whose calls can be made to fail, the folder of its state, libfiu's pipe)"""
        preload = glob.glob("/usr/lib/*/fiu/fiu_*_preload.so") + glob.glob(
            "/usr/lib/fiu/fiu_*_preload.so")
        if not preload:
            self.skipTest("libfiu is not there: install fiu-utils")
        state, fifo = self.path("state-" + name), self.path("fiu-" + name)
        coordinator = self.start_coordinator(
            state=state, before=["/usr/bin/env", "LD_PRELOAD=" + ":".join(preload),
                                 "FIU_CTRL_FIFO=" + fifo])
        control = f"{fifo}-{coordinator.child.pid}"
        wait_for("libfiu", lambda: os.path.exists(control + ".in"))
        return coordinator, state, control

    def test_Fault27_a_full_disk_that_shows_when_a_new_file_is_synced_is_waited_for(self):
        coordinator, _, control = self.start_with_libfiu("full")
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        self.upload(stub, self.lease(stub, worker), model_file(1.0))
        lease = self.lease(stub, worker)
        self.enable(control, f"enable name=posix/io/sync/fsync,failinfo={ENOSPC}\n")
        code, text = self.status_of(lambda: self.upload(stub, lease, model_file(0.5), "again"))
        self.assertEqual(code, RESOURCE_EXHAUSTED, text)
        self.enable(control, "disable name=posix/io/sync/fsync\n")
        # Sent again it is another file.
        wait_for("room", lambda: self.metric(coordinator, "disk_full") == 0)
        self.assertEqual(self.status_of(
            lambda: self.upload(stub, lease, model_file(0.5), "again")), (OK, ""))
        self.upload(stub, self.lease(stub, worker, wait=20), model_file(0.25))
        wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
        self.assertGreaterEqual(self.metric(coordinator, "disk_full_pauses_total"), 1)
        self.assertEqual(coordinator.terminate(), 0)

    def test_Fault28_a_disk_that_fails_to_sync_ends_the_coordinator_and_a_restart_recovers(self):
        # A full disk that shows only here is no better: what SQLite's log held may be gone.
        for what, errno in (("fdatasync", EIO), ("fdatasync", ENOSPC), ("fsync", EIO)):
            with self.subTest(what, errno=errno):
                coordinator, state, control = self.start_with_libfiu(f"{what}-{errno}")
                stub = self.stub(coordinator)
                run_id = self.submit_run(stub)
                worker = self.register(stub)
                self.upload(stub, self.lease(stub, worker), model_file(1.0))
                lease = self.lease(stub, worker)
                self.enable(control, f"enable name=posix/io/sync/{what},failinfo={errno}\n")
                code, text = self.status_of(
                    lambda: self.upload(stub, lease, model_file(0.5), "lost"))
                self.assertEqual(code, UNAVAILABLE, text)
                self.assertEqual(coordinator.child.wait(timeout=60), 1)
                log = coordinator.log()
                self.assertIn("the coordinator stops", log)
                # What it had acknowledged stands; what it had not may be sent again, and counts once.
                coordinator = self.start_coordinator(state=state)
                stub = self.stub(coordinator)
                self.assertEqual(self.get(stub, run_id).state, self.messages.RUN_STATE_RUNNING)
                self.assertEqual(
                    self.status_of(lambda: self.upload(stub, lease, model_file(0.5), "lost"))[0], OK)
                self.assertEqual(self.record_of(
                    state, "SELECT count(*) FROM tasks WHERE done AND kind = 2"), [(1,)])
                self.upload(stub, self.lease(stub, worker), model_file(0.25))
                wait_for("the round", lambda: self.get(stub, run_id).completed_round_count == 1)
                self.assertEqual(coordinator.terminate(), 0)

    def enable(self, control, command):
        """As fiu-ctrl does: a line in, a line out."""
        with open(control + ".in", "w") as pipe:
            pipe.write(command)
        with open(control + ".out") as pipe:
            self.assertEqual(pipe.readline().strip(), "0")

    def register_or_none(self, stub):
        """Registering needs the record, so it may be refused."""
        try:
            return self.register(stub)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), RESOURCE_EXHAUSTED)
            return None

    def record_of(self, state, query):
        """Rows of the record in `state`."""
        done = subprocess.run(["sqlite3", "-readonly", "-separator", "|",
                               os.path.join(state, "record.sqlite3"), query], check=True,
                              stdout=subprocess.PIPE, text=True)
        return [tuple(int(cell) for cell in line.split("|")) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    unittest.main()
