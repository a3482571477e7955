#!/usr/bin/env python3
"""Fault 17: a peer vanishes without a word. Takes the 40 seconds of real keepalive."""

import time
import unittest

from tcp_proxy import TcpProxy
from teacher_case import OK, ROWS, UNAVAILABLE, Shard, TeacherCase, metric, wait_for

KEEPALIVE_SECONDS = 30 + 10  # a ping after 30 s of silence, 10 s for its answer


class TeacherBlackHole(TeacherCase):
    def test_Fault17_a_peer_that_vanishes_is_noticed_by_both_within_40_seconds(self):
        teacher = self.start_teacher()
        expected = self.undisturbed(self.stub(teacher.address)).content()
        proxy = TcpProxy(teacher.address)
        self.addCleanup(proxy.close)
        shard = Shard(self)
        stream = shard.open(self.stub(proxy.address))
        while shard.rows == 0:
            shard.take(next(stream))
        proxy.set(blackhole=True)
        start = time.monotonic()
        self.assertEqual(shard.read(stream), UNAVAILABLE)
        client_took = time.monotonic() - start
        wait_for("the server to notice", lambda: metric(teacher, "open_streams") == 0)
        server_took = time.monotonic() - start
        print(f"black hole: noticed by the client after {client_took:.1f} s, by the server after "
              f"{server_took:.1f} s")
        self.assertLess(client_took, KEEPALIVE_SECONDS + 1)
        self.assertLess(server_took, KEEPALIVE_SECONDS + 5)
        self.assertLess(shard.rows, ROWS)
        self.assertEqual(shard.read(shard.open(self.stub(teacher.address))), OK)
        self.assertEqual(shard.content(), expected)


if __name__ == "__main__":
    unittest.main()
