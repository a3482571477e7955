#!/usr/bin/env python3
"""Faults 18, 20 and 21: the network between a teacher and its clients misbehaves."""

import time
import unittest

from tcp_proxy import TcpProxy
from teacher_case import (MIB, OK, UNAVAILABLE, Shard, TeacherCase, metric, resident_bytes,
                          wait_for)

FAR = {"delay": 0.2, "stall": 0.5, "stall_bytes": 256 * 1024}
MBIT = 125_000  # bytes per second


class TeacherNetwork(TeacherCase):
    def proxy(self, teacher, **faults):
        proxy = TcpProxy(teacher.address, **faults)
        self.addCleanup(proxy.close)
        return proxy

    def test_Fault18_a_far_and_moody_line_only_takes_longer(self):
        teacher = self.start_teacher()
        expected = self.undisturbed(self.stub(teacher.address), shard_size=4000).content()
        proxy = self.proxy(teacher, **FAR)
        shard = Shard(self, shard_size=4000)
        start = time.monotonic()
        self.assertEqual(shard.read(shard.open(self.stub(proxy.address))), OK)
        print(f"200 ms and stalls: {len(expected[1]) / MIB:.1f} MiB in "
              f"{time.monotonic() - start:.1f} s")
        self.assertEqual(shard.content(), expected)
        self.assertEqual(proxy.connection_count, 1, "it was never given up")

    def test_Fault20_resets_every_two_seconds_do_not_stop_progress(self):
        teacher = self.start_teacher()
        expected = self.undisturbed(self.stub(teacher.address)).content()
        proxy = self.proxy(teacher, bandwidth=1.2e6, reset_every=2)
        stub = self.stub(proxy.address)
        shard = Shard(self)
        streams = 0
        while not shard.complete:
            streams += 1
            before = shard.rows
            code = shard.read(shard.open(stub, wait_for_ready=True))
            self.assertIn(code, (OK, UNAVAILABLE))
            self.assertLess(streams, 40, "no progress")
            self.assertGreaterEqual(shard.rows, before)
        print(f"resets every 2 s: {streams} streams")
        self.assertGreater(streams, 2)
        self.assertEqual(shard.content(), expected)
        wait_for("all streams to be over", lambda: metric(teacher, "open_streams") == 0)

    def test_Fault21_eight_streams_at_1_mbit_do_not_fill_the_teachers_memory(self):
        teacher = self.start_teacher()
        self.undisturbed(self.stub(teacher.address))
        encoded_before = metric(teacher, "streamed_bytes_total")
        before = resident_bytes(teacher)
        proxies = [self.proxy(teacher, bandwidth=MBIT) for _ in range(8)]
        shards = [Shard(self) for _ in proxies]
        streams = [shard.open(self.stub(proxy.address)) for shard, proxy in zip(shards, proxies)]
        readers = [self.in_background(lambda pair=pair: pair[0].read(pair[1]))
                   for pair in zip(shards, streams)]
        most, ahead = before, 0
        end = time.monotonic() + 8
        while time.monotonic() < end:
            most = max(most, resident_bytes(teacher))
            delivered = sum(proxy.bytes_to_client for proxy in proxies)
            ahead = max(ahead, metric(teacher, "streamed_bytes_total") - encoded_before - delivered)
            time.sleep(0.1)
        print(f"1 Mbit/s x 8: resident {before / MIB:.0f} MiB, at most {most / MIB:.0f} MiB; "
              f"{ahead / MIB:.1f} MiB encoded ahead of 8 x 9.5 MiB")
        self.assertEqual(metric(teacher, "open_streams"), 8)
        # A message on its way and the next one for each, and what sockets hold.
        self.assertLess(ahead, 8 * 6 * MIB)
        self.assertLess(most - before, 8 * 5 * MIB)
        for stream in streams:
            stream.cancel()
        for reader in readers:
            reader.join(30)
        wait_for("all streams to be over", lambda: metric(teacher, "open_streams") == 0)


if __name__ == "__main__":
    unittest.main()
