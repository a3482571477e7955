#!/usr/bin/env python3
"""Faults 9 to 11: a teacher that is killed, told to stop, or not ready yet; and its health."""

import os
import queue
import signal
import threading
import time
import unittest

from teacher_case import OK, ROWS, UNAVAILABLE, Shard, TeacherCase, grpc, metric, wait_for

GRACE = 10  # seconds that docker stop waits
SERVING, NOT_SERVING, UNKNOWN_NAME = 1, 2, 3


class Health:
    """grpc.health.v1 by hand: a request is one string, an answer one number."""

    def __init__(self, channel):
        self._arguments = dict(
            request_serializer=lambda name: b"\x0a" + bytes([len(name)]) + name.encode() if name
            else b"",
            response_deserializer=lambda data: data[1] if data else 0)
        self._check = channel.unary_unary("/grpc.health.v1.Health/Check", **self._arguments)
        self._watch = channel.unary_stream("/grpc.health.v1.Health/Watch", **self._arguments)

    def check(self, name):
        return self._check(name, timeout=30)

    def watch(self, name):
        """A queue of what comes."""
        news = queue.Queue()

        def read():
            try:
                for status in call:
                    news.put(status)
            except grpc.RpcError as error:
                news.put(error.code())

        call = self._watch(name)
        threading.Thread(target=read, daemon=True).start()
        return news


class TeacherEnds(TeacherCase):
    def test_Fault09_a_killed_teachers_stream_goes_on_at_the_next_row_elsewhere(self):
        first = self.start_teacher(label="first")
        second = self.start_teacher(label="second")
        expected = self.undisturbed(self.stub(first.address)).content()
        shard = Shard(self)
        stream = shard.open(self.stub(first.address))
        while shard.rows == 0:
            shard.take(next(stream))
        first.kill()
        self.assertEqual(shard.read(stream), UNAVAILABLE)
        self.assertGreater(shard.rows, 0)
        self.assertLess(shard.rows, ROWS)
        self.assertEqual(shard.read(shard.open(self.stub(second.address))), OK)
        self.assertEqual(shard.content(), expected)

    def test_Fault09_or_at_the_same_one_once_it_is_back(self):
        teacher = self.start_teacher()
        stub = self.stub(teacher.address)
        expected = self.undisturbed(stub).content()
        shard = Shard(self)
        for _ in range(3):
            stream = shard.open(stub, wait_for_ready=True)
            before = shard.rows
            while shard.rows == before:
                shard.take(next(stream))
            teacher.kill()
            self.assertEqual(shard.read(stream), UNAVAILABLE)
            teacher = self.start_teacher(at=teacher.address)
        self.assertEqual(shard.read(shard.open(stub, wait_for_ready=True)), OK)
        self.assertEqual(shard.content(), expected)

    def test_Fault10_until_it_is_warm_health_says_so_and_calls_are_to_be_tried_again(self):
        teacher = self.start_teacher("--model", f"slow={self.endless_model()}", warm=False)
        channel = self.channel(teacher.address)
        stub, health = self.rpc.TeacherServiceStub(channel), Health(channel)
        wait_for("the first model", lambda: metric(teacher, "model_ready") == 1)
        self.assertEqual(health.check(""), NOT_SERVING)
        wait_for("its health", lambda: health.check("teacher") == SERVING)
        self.assertEqual(health.check("slow"), NOT_SERVING)
        with self.assertRaises(grpc.RpcError) as caught:
            health.check("unheard-of")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(self.status_of(lambda: self.ask(stub)), OK)
        self.assertEqual(self.status_of(lambda: stub.ComputeSoftTargets(self.query())), OK)
        slow = Shard(self, model_name="slow")
        calls = (
            lambda: stub.GetTeacher(self.messages.GetTeacherRequest(model_name="slow")),
            lambda: stub.ComputeSoftTargets(self.messages.ComputeSoftTargetsRequest(
                model_name="slow", temperature=2, inputs=self.query().inputs)),
            lambda: list(slow.open(stub)))
        for call in calls:
            with self.assertRaises(grpc.RpcError) as caught:
                call()
            self.assertEqual(caught.exception.code(), UNAVAILABLE)
            self.assertIn("loading", caught.exception.details())
            details = dict(caught.exception.trailing_metadata())["grpc-status-details-bin"]
            self.assertIn(b"google.rpc.RetryInfo", details)

    def test_Fault11_told_to_stop_it_ends_eight_streams_and_itself(self):
        teacher = self.start_teacher("--batch-rows", "256")
        channel = self.channel(teacher.address)
        health = Health(channel)
        news = {name: health.watch(name) for name in ("", "teacher")}
        for name, watched in news.items():
            self.assertEqual(watched.get(timeout=30), SERVING, name)
        stub = self.rpc.TeacherServiceStub(channel)
        expected = self.undisturbed(stub).content()
        shards = [Shard(self) for _ in range(8)]
        streams = [shard.open(stub) for shard in shards]
        for shard, stream in zip(shards, streams):
            while shard.rows == 0:
                shard.take(next(stream))
        codes = [None] * len(shards)

        def read(i):
            codes[i] = shards[i].read(streams[i])

        start = time.monotonic()
        teacher.signal(signal.SIGTERM)
        readers = [self.in_background(lambda i=i: read(i)) for i in range(len(shards))]
        for name, watched in news.items():
            self.assertEqual(watched.get(timeout=30), NOT_SERVING, name)
        self.assertEqual(teacher.child.wait(timeout=GRACE), 0)
        took = time.monotonic() - start
        for reader in readers:
            reader.join(30)
        print(f"SIGTERM with 8 streams: ended in {took:.1f} s with {[str(c) for c in codes]}")
        self.assertLess(took, GRACE)
        for shard, code in zip(shards, codes):
            self.assertIn(code, (OK, UNAVAILABLE))
            if code == UNAVAILABLE:
                self.assertEqual(shard.rows % 256, 0, "whole cuts")
            self.assertEqual(bytes(shard.inputs), expected[1][:len(shard.inputs)])
        self.assertIn(UNAVAILABLE, codes)
        # What came can be completed elsewhere.
        again = self.stub(self.start_teacher("--batch-rows", "256", label="again").address)
        self.assertEqual(shards[0].read(shards[0].open(again)), OK)
        self.assertEqual(shards[0].content(), expected)

    def test_a_client_that_does_not_read_does_not_hold_the_stop_up(self):
        teacher = self.start_teacher()
        shard = Shard(self)
        stream = shard.open(self.stub(teacher.address))
        shard.take(next(stream))
        wait_for("a full pipe", lambda: metric(teacher, "streamed_bytes_total") > 0)
        start = time.monotonic()
        self.assertEqual(teacher.terminate(), 0)
        self.assertLess(time.monotonic() - start, GRACE)
        self.assertNotEqual(shard.read(stream), OK)


if __name__ == "__main__":
    unittest.main()
