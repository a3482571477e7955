#!/usr/bin/env python3
"""Faults 35 and 49: more connections than a teacher can hold."""

import socket
import time
import unittest

from teacher_case import (MIB, OK, Shard, TeacherCase, descriptor_count, metric, resident_bytes,
                          wait_for)


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


class TeacherConnections(TeacherCase):
    def test_Fault35_200_connections_at_64_descriptors_harm_nobody_who_is_served(self):
        teacher = self.start_teacher(descriptors=64)
        stub = self.stub(teacher.address)
        expected = self.undisturbed(stub).content()
        shard = Shard(self)
        stream = shard.open(stub)
        while shard.rows == 0:
            shard.take(next(stream))
        idle = descriptor_count(teacher)
        crowd = Crowd(teacher.address, 200)
        self.addCleanup(crowd.close)
        wait_for("it to be full", lambda: metric(teacher, "refused_connections_total") > 0)
        # It keeps a reserve for its own files, and serves who is there. The look at its metrics has
        # a connection too, which the teacher closes a moment after its answer.
        wait_for("the reserve to be free", lambda: descriptor_count(teacher) <= 64 - 16 + 2)
        self.assertEqual(self.status_of(lambda: stub.ComputeSoftTargets(self.query())), OK)
        self.assertEqual(shard.read(stream), OK)
        self.assertEqual(shard.content(), expected)
        self.assertEqual(self.undisturbed(stub, shard_size=999).rows, 999)
        self.assertNotEqual(self.status_of(
            lambda: self.ask(self.stub(teacher.address), timeout=1)), OK)
        print(f"64 descriptors: {idle} used by 1 client, {descriptor_count(teacher)} beside 200 "
              f"connections, {metric(teacher, 'open_connections'):.0f} of them taken")
        late = self.stub(teacher.address)
        crowd.close()
        start = time.monotonic()
        self.assertEqual(self.status_of(lambda: self.ask(late, timeout=30, wait_for_ready=True)), OK)
        print(f"served again {time.monotonic() - start:.2f} s after they left")
        wait_for("only clients to be left", lambda: metric(teacher, "open_connections") <= 3)
        self.assertIn("no file descriptor is left", teacher.log())

    def test_Fault49_5000_connections_are_held_off_and_clients_are_served(self):
        teacher = self.start_teacher("--max-connections", 256,
                                     "--max-connections-per-address", 256)
        stub = self.stub(teacher.address)
        self.undisturbed(stub)
        before = resident_bytes(teacher)
        crowd = Crowd(teacher.address, 5000)
        self.addCleanup(crowd.close)
        wait_for("it to be full", lambda: metric(teacher, "open_connections") == 256)
        shard = self.undisturbed(stub)
        self.assertTrue(shard.complete)
        for _ in range(200):
            self.assertEqual(self.status_of(lambda: stub.ComputeSoftTargets(self.query())), OK)
        self.assertLessEqual(metric(teacher, "open_connections"), 256)
        # Who says nothing loses its place, so that clients come in without anybody's leaving.
        late = self.stub(teacher.address)
        start = time.monotonic()
        self.assertEqual(self.status_of(lambda: self.ask(late, timeout=60, wait_for_ready=True)), OK)
        took = time.monotonic() - start
        crowd.close()
        wait_for("only clients to be left", lambda: metric(teacher, "open_connections") <= 2)
        grown = resident_bytes(teacher) - before
        print(f"5,000 connections: {metric(teacher, 'refused_connections_total'):.0f} closed; a new "
              f"client was served after {took:.1f} s; {grown / MIB:.1f} MiB more in the end")
        self.assertLess(grown, 16 * MIB)


if __name__ == "__main__":
    unittest.main()
