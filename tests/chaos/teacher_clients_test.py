#!/usr/bin/env python3
"""Faults 22, 23 and 37, and the service's promise on memory: clients that behave badly."""

import collections
import statistics
import time
import unittest

from http2_frames import (ENHANCE_YOUR_CALM, GOAWAY, PING, Frames, frame, reset_rapidly)
from tcp_proxy import TcpProxy
from teacher_case import (MIB, OK, UNAVAILABLE, Shard, TeacherCase, descriptor_count, grpc, metric,
                          resident_bytes, thread_count, wait_for)

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class TeacherClients(TeacherCase):
    def timed(self, call, count=30):
        """The median of a call's seconds."""
        seconds = []
        for _ in range(count):
            start = time.monotonic()
            call()
            seconds.append(time.monotonic() - start)
        return statistics.median(seconds)

    def test_Fault22_clients_that_never_read_are_ended_and_cost_the_others_nothing(self):
        teacher = self.start_teacher("--stream-idle-seconds", 5)
        stub = self.stub(teacher.address)
        self.undisturbed(stub)
        alone = self.timed(lambda: stub.ComputeSoftTargets(self.query()))
        failed_before = metric(teacher, "failed_streams_total")
        encoded_before = metric(teacher, "streamed_bytes_total")
        before = resident_bytes(teacher)
        start = time.monotonic()
        # A client whose window grows with what it measures may take in the whole shard unread.
        idle = [(Shard(self), self.stub(teacher.address, **{"grpc.http2.bdp_probe": 0}))
                for _ in range(8)]
        streams = [shard.open(other) for shard, other in idle]
        for (shard, _), stream in zip(idle, streams):
            shard.take(next(stream))
        beside = self.timed(lambda: stub.ComputeSoftTargets(self.query()))
        shard = self.undisturbed(stub)
        most = before
        while metric(teacher, "failed_streams_total") - failed_before < len(idle):
            most = max(most, resident_bytes(teacher))
            self.assertLess(time.monotonic() - start, 30, "they are not ended")
            time.sleep(0.1)
        took = time.monotonic() - start
        encoded = metric(teacher, "streamed_bytes_total") - encoded_before - (
            len(shard.values) + len(shard.inputs) + 4 * shard.rows)
        print(f"8 clients that do not read: ended after {took:.1f} s; resident {before / MIB:.0f} "
              f"MiB, at most {most / MIB:.0f} MiB; {encoded / MIB:.1f} MiB encoded for them; a query "
              f"takes {alone * 1e3:.1f} ms alone, {beside * 1e3:.1f} ms beside them")
        self.assertGreater(took, 4)
        self.assertLess(most - before, len(idle) * 5 * MIB)
        self.assertLess(encoded, len(idle) * 2 * MIB)
        self.assertLess(beside, 3 * alone + 0.05)
        for (shard, _), stream in zip(idle, streams):
            self.assertIn(shard.read(stream), (RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED))
        self.assertIn("--stream-idle-seconds", teacher.log())

    def test_Fault23_a_client_that_pings_every_second_is_told_to_calm_down(self):
        teacher = self.start_teacher()
        proxy = TcpProxy(teacher.address)
        self.addCleanup(proxy.close)
        stub = self.stub(proxy.address, **{"grpc.keepalive_time_ms": 1000,
                                           "grpc.keepalive_timeout_ms": 1000})
        self.assertEqual(self.status_of(lambda: self.ask(stub)), OK)
        connection = Frames(teacher.address)
        self.addCleanup(connection.close)
        start = time.monotonic()
        sent, last = 0, None
        while last is None or last[0] != GOAWAY:
            self.assertLess(sent, 15, "never told")
            connection.socket.sendall(frame(PING, bytes(8)))
            sent += 1
            while (got := connection.next(timeout=1)) is not None:
                last = got
                if got[0] == GOAWAY:
                    break
        code = int.from_bytes(last[1][4:8], "big")
        print(f"GOAWAY {last[1][8:].decode()} after {sent} pings, "
              f"{time.monotonic() - start:.1f} s")
        self.assertEqual(code, ENHANCE_YOUR_CALM)
        self.assertEqual(last[1][8:], b"too_many_pings")
        # A gRPC client halves its rate each time that it is told, so it comes again ever more rarely:
        # after about 4, 12 and 28 seconds.
        wait_for("its connection to be ended", lambda: proxy.open_connections == 0 or
                 proxy.connection_count > 1)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.assertEqual(self.status_of(lambda: self.ask(stub, wait_for_ready=True)), OK)
            time.sleep(0.5)
        print(f"a client that pings each second: {proxy.connection_count} connections in 15 s")
        self.assertLessEqual(proxy.connection_count, 4)

    def test_Fault37_a_message_over_the_limit_leaves_the_connection_usable(self):
        teacher = self.start_teacher()
        proxy = TcpProxy(teacher.address)
        self.addCleanup(proxy.close)
        stub = self.stub(proxy.address)
        large = self.query(rows=4 * MIB // (28 * 28 * 4) + 1)
        self.assertGreater(large.ByteSize(), 4 * MIB)
        for _ in range(3):
            self.assertEqual(self.status_of(lambda: stub.ComputeSoftTargets(large)),
                             RESOURCE_EXHAUSTED)
            self.assertEqual(self.status_of(lambda: stub.ComputeSoftTargets(self.query())), OK)
        self.assertEqual(proxy.connection_count, 1)

    def test_Fault49_a_megabyte_of_metadata_is_refused_and_the_others_are_served(self):
        teacher = self.start_teacher()
        stub, other = self.stub(teacher.address), self.stub(teacher.address)
        self.ask(other)
        before = resident_bytes(teacher)
        codes = collections.Counter()
        for _ in range(50):
            codes[self.status_of(lambda: self.ask(stub, metadata=[("x-large", "a" * MIB)]))] += 1
            self.assertEqual(self.status_of(lambda: self.ask(other)), OK)
        # gRPC answers and closes the connection; a client that is still sending may see that first.
        self.assertGreaterEqual(codes[RESOURCE_EXHAUSTED], 25, codes)
        self.assertLessEqual(set(codes), {RESOURCE_EXHAUSTED, UNAVAILABLE})
        # The next call may still meet the connection that is being closed.
        wait_for("the client to be served again",
                 lambda: self.status_of(lambda: self.ask(stub, wait_for_ready=True)) == OK)
        self.assertLess(resident_bytes(teacher) - before, 16 * MIB)

    def test_Fault55_20000_calls_that_are_cancelled_at_once_take_bounded_memory_that_is_given_back(self):
        teacher = self.start_teacher()
        stub = self.stub(teacher.address)
        self.ask(stub)
        before = resident_bytes(teacher)
        most, answered = reset_rapidly(
            teacher.address, "/distillery.v1.TeacherService/ComputeSoftTargets", 20_000,
            lambda: self.assertEqual(self.status_of(lambda: self.ask(stub)), OK),
            lambda: resident_bytes(teacher))
        wait_for("its calls to be cleared away", lambda: metric(teacher, "open_calls") == 0)
        wait_for("memory to be given back", lambda: resident_bytes(teacher) - before < 64 * MIB)
        print(f"20,000 resets: {(most - before) / MIB:.0f} MiB more at the most, "
              f"{(resident_bytes(teacher) - before) / MIB:.0f} at the end, "
              f"{metric(teacher, 'refused_calls_total'):.0f} refused, {answered} others answered")
        self.assertLess(most - before, 96 * MIB)

    def test_memory_descriptors_and_threads_return_after_ten_thousand_requests(self):
        teacher = self.start_teacher()
        channel = self.channel(teacher.address)
        stub = self.rpc.TeacherServiceStub(channel)
        query = self.query()
        bad = self.query()
        bad.temperature = 0

        def requests(count):
            """Mixed and 16 at once: queries, descriptions, refusals, short streams and cancels."""
            for first in range(0, count, 16):
                calls, streams = [], []
                for i in range(first, min(first + 16, count)):
                    if i % 50 == 0:
                        stream = Shard(self, shard_size=128).open(stub)
                        if i % 100 == 0:
                            stream.cancel()
                        else:
                            streams.append(stream)
                    elif i % 10 == 1:
                        calls.append(stub.ComputeSoftTargets.future(bad, timeout=60))
                    elif i % 10 == 2:
                        calls.append(stub.GetTeacher.future(self.messages.GetTeacherRequest(),
                                                            timeout=60))
                    else:
                        calls.append(stub.ComputeSoftTargets.future(query, timeout=60))
                for call in calls:
                    call.exception()
                for stream in streams:
                    self.status_of(lambda stream=stream: list(stream))

        start = time.monotonic()
        requests(1000)
        first = (resident_bytes(teacher), descriptor_count(teacher), thread_count(teacher))
        requests(9000)
        last = (resident_bytes(teacher), descriptor_count(teacher), thread_count(teacher))
        print(f"after 1,000 requests: {first[0] / MIB:.1f} MiB, {first[1]} descriptors, {first[2]} "
              f"threads; after 10,000: {last[0] / MIB:.1f} MiB, {last[1]}, {last[2]}; "
              f"{time.monotonic() - start:.0f} s")
        self.assertGreater(metric(teacher, "queries_total"), 7500)
        self.assertLessEqual(last[0], first[0] + 16 * MIB)
        self.assertLessEqual(last[1], first[1] + 2)
        self.assertLessEqual(last[2], first[2] + 4)


if __name__ == "__main__":
    unittest.main()
