#!/usr/bin/env python3
"""Faults 37 and 49: clients of a coordinator that ask too much, and its promise on memory."""

import collections
import socket
import threading
import time
import unittest

from bare_coordinator import (MEMORY_COUNTS, MIB, OK, PATIENCE, BareCoordinatorCase, descriptor_count, grpc,
                              model_file, resident_bytes, thread_count, wait_for)
from http2_frames import reset_rapidly

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
ABORTED = grpc.StatusCode.ABORTED


class Crowd:
    """Plain connections that say nothing."""

    def __init__(self, address, count):
        host, port = address.split(":")
        self.sockets = []
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex((host, int(port)))
            self.sockets.append(connection)

    def close(self):
        for connection in self.sockets:
            connection.close()
        self.sockets = []


class CoordinatorClients(BareCoordinatorCase):
    def list(self, stub, **options):
        return stub.ListRuns(self.messages.ListRunsRequest(), timeout=PATIENCE, **options)

    def test_Fault49_ten_thousand_leases_asked_by_one_worker_are_refused_and_others_served(self):
        coordinator = self.start_coordinator()
        greedy, other = self.stub(coordinator), self.stub(coordinator)
        worker = self.register(greedy)
        codes, lock = collections.Counter(), threading.Lock()
        done = threading.Semaphore(0)

        def ended(call):
            with lock:
                codes[call.code()] += 1
            done.release()

        def ask(count):
            """Asks all at once; returns the calls when all but those that wait have ended."""
            calls = []
            for i in range(count):
                call = greedy.LeaseTask.future(self.messages.LeaseTaskRequest(
                    request_id=f"request-{i}", worker_id=worker, max_wait_seconds=60),
                    timeout=PATIENCE)
                call.add_done_callback(ended)
                calls.append(call)
                if i % 1000 == 0:
                    self.list(other)
            for _ in range(count - 8):
                self.assertTrue(done.acquire(timeout=PATIENCE))
            return calls

        def leave(calls):
            for call in calls:
                call.cancel()
            wait_for("the waits to end", lambda: self.metric(coordinator, "waiting_workers") == 0)

        idle = resident_bytes(coordinator)
        leave(ask(10_000))
        for _ in range(8):  # the calls that were cancelled say so a little later
            self.assertTrue(done.acquire(timeout=PATIENCE))
        # What is in flight at one time takes memory, and is used again: no more with more calls.
        before = resident_bytes(coordinator), descriptor_count(coordinator)
        codes.clear()
        calls = ask(10_000)
        self.assertEqual(codes, {RESOURCE_EXHAUSTED: 10_000 - 8})
        # Another worker gets the next task at once.
        run_id = self.submit_run(other)
        mine = self.lease(other, self.register(other, "modest"))
        held = self.get(other, run_id).active_lease_count
        self.assertEqual(held, 1)
        self.assertTrue(mine is None or mine.run_id == run_id)
        leave(calls)
        self.assertEqual(self.metric(coordinator, "refused_waits_total"), 20_000 - 16)
        first, second = before[0] - idle, resident_bytes(coordinator) - before[0]
        print(f"10,000 LeaseTask calls of one worker: {first / MIB:.1f} MiB more, "
              f"10,000 others {second / MIB:.1f}")
        self.assert_memory_below(first, 48 * MIB)
        self.assert_memory_below(second, 16 * MIB)
        self.assertLessEqual(descriptor_count(coordinator), before[1] + 2)

    def test_Fault49_5000_connections_are_held_off_and_clients_are_served(self):
        coordinator = self.start_coordinator("--max-connections", 256,
                                             "--max-connections-per-address", 256)
        stub = self.stub(coordinator)
        self.list(stub)
        before = resident_bytes(coordinator), descriptor_count(coordinator)
        crowd = Crowd(coordinator.address, 5000)
        self.addCleanup(crowd.close)
        wait_for("it to be full", lambda: self.metric(coordinator, "open_connections") == 256)
        run_id = self.submit_run(stub)
        worker = self.register(stub)
        self.upload(stub, self.lease(stub, worker), model_file(1.0))
        for _ in range(200):
            self.list(stub)
        self.assertLessEqual(self.metric(coordinator, "open_connections"), 256)
        start = time.monotonic()
        self.list(self.stub(coordinator), wait_for_ready=True)
        took = time.monotonic() - start
        crowd.close()
        wait_for("only clients to be left",
                 lambda: self.metric(coordinator, "open_connections") <= 2)
        self.assertEqual(self.get(stub, run_id).state, self.messages.RUN_STATE_RUNNING)
        grown = resident_bytes(coordinator) - before[0]
        print(f"5,000 connections: {self.metric(coordinator, 'refused_connections_total'):.0f} "
              f"closed; a new client was served after {took:.1f} s; {grown / MIB:.1f} MiB more")
        self.assert_memory_below(grown, 16 * MIB)
        wait_for("descriptors", lambda: descriptor_count(coordinator) <= before[1] + 2)

    def test_Fault49_a_megabyte_of_metadata_is_refused_and_the_others_are_served(self):
        coordinator = self.start_coordinator()
        stub, other = self.stub(coordinator), self.stub(coordinator)
        self.list(other)
        before = resident_bytes(coordinator)
        codes = collections.Counter()
        for _ in range(50):
            codes[self.status_of(
                lambda: self.list(stub, metadata=[("x-large", "a" * MIB)]))[0]] += 1
            self.assertEqual(self.status_of(lambda: self.list(other))[0], OK)
        # gRPC answers and closes the connection; a client that is still sending may see that first.
        self.assertGreaterEqual(codes[RESOURCE_EXHAUSTED], 25, codes)
        self.assertLessEqual(set(codes), {RESOURCE_EXHAUSTED, UNAVAILABLE})
        wait_for("the client to be served again",
                 lambda: self.status_of(lambda: self.list(stub, wait_for_ready=True))[0] == OK)
        self.assert_memory_below(resident_bytes(coordinator) - before, 16 * MIB)

    def test_Fault55_20000_calls_that_are_cancelled_at_once_take_bounded_memory_that_is_given_back(self):
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        self.list(stub)
        before = resident_bytes(coordinator)
        most, answered = reset_rapidly(
            coordinator.address, "/distillery.v1.CoordinatorService/ListRuns", 20_000,
            lambda: self.list(stub), lambda: resident_bytes(coordinator))
        wait_for("its calls to be cleared away",
                 lambda: self.metric(coordinator, "open_calls") == 0)
        if MEMORY_COUNTS:
            wait_for("memory to be given back",
                     lambda: resident_bytes(coordinator) - before < 64 * MIB)
        print(f"20,000 resets: {(most - before) / MIB:.0f} MiB more at the most, "
              f"{(resident_bytes(coordinator) - before) / MIB:.0f} at the end, "
              f"{self.metric(coordinator, 'refused_calls_total'):.0f} refused, "
              f"{answered} others answered")
        self.assert_memory_below(most - before, 96 * MIB)

    def test_Fault37_a_message_over_the_limit_in_an_upload_leaves_the_connection_usable(self):
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub)
        lease = self.lease(stub, self.register(stub))
        messages = self.messages

        def oversized():
            yield messages.UploadDeltaRequest(header=messages.DeltaHeader(
                request_id="large", lease=lease, byte_count=8 * MIB))
            yield messages.UploadDeltaRequest(
                chunk=messages.BytesChunk(offset=0, data=bytes(8 * MIB)))

        for _ in range(10):
            code, text = self.status_of(lambda: stub.UploadDelta(oversized(), timeout=PATIENCE))
            # What gRPC does not take ends the stream; the reactor sees a stream without its trailer.
            self.assertIn(code, (RESOURCE_EXHAUSTED, ABORTED), text)
            code, text = self.status_of(lambda: stub.GetRun(
                messages.GetRunRequest(run_id="a" * (8 * MIB)), timeout=PATIENCE))
            self.assertEqual(code, RESOURCE_EXHAUSTED, text)
        self.assertEqual(self.record("SELECT count(*) FROM tasks WHERE done"), [(0,)])
        self.assertFalse(self.upload(stub, lease, model_file(1.0)))
        self.assertEqual(self.get(stub, run_id).state, messages.RUN_STATE_RUNNING)

    def test_memory_descriptors_and_threads_return_after_ten_thousand_requests(self):
        coordinator = self.start_coordinator("--log-level", "warning")
        stub = self.stub(coordinator)
        run_id = self.submit_run(stub, rounds=1_000_000, replicas=1)
        worker = self.register(stub)
        self.upload(stub, self.lease(stub, worker), model_file(1.0, 16))
        messages = self.messages
        delta = model_file(0.0, 16)

        def requests(count):
            """Mixed: whole tasks, views, refusals, watches that are left, uploads that break off."""
            for i in range(count // 10):
                lease = self.lease(stub, worker, wait=20)
                self.upload(stub, lease, delta)  # lease and upload: 2
                for _ in range(4):
                    self.get(stub, run_id)
                self.status_of(lambda: self.upload(stub, lease, delta))  # an old round
                self.status_of(lambda: self.get(stub, "nobody"))
                watch = stub.WatchRun(messages.WatchRunRequest(run_id=run_id), timeout=PATIENCE)
                next(watch)
                watch.cancel()
                self.status_of(lambda: stub.UploadDelta(iter([messages.UploadDeltaRequest()]),
                                                        timeout=PATIENCE))

        requests(1000)
        after_1000 = resident_bytes(coordinator), descriptor_count(coordinator), thread_count(coordinator)
        requests(9000)
        after_10000 = resident_bytes(coordinator), descriptor_count(coordinator), thread_count(coordinator)
        print(f"RSS after 1,000 and 10,000 calls: {after_1000[0] / MIB:.1f} and "
              f"{after_10000[0] / MIB:.1f} MiB; descriptors {after_1000[1]}, {after_10000[1]}; "
              f"threads {after_1000[2]}, {after_10000[2]}")
        self.assert_memory_below(after_10000[0] - after_1000[0], 16 * MIB)
        self.assertLessEqual(after_10000[1], after_1000[1] + 4)
        self.assertLessEqual(after_10000[2], after_1000[2] + 4)


if __name__ == "__main__":
    unittest.main()
