#!/usr/bin/env python3
"""Sixty unlike runs in random order through one worker, one teacher and one coordinator: each has the
SHA-256 that `distillery run` gives it in a process of its own. What a process keeps between tasks must
be known by all that it depends on."""

import os
import random
import signal
import sys
import unittest

from services import ServiceTestCase, add_stubs
from unlike_runs import RUNS, all_alone, train_teachers, write_datasets, write_specs, write_students

try:
    import grpc
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio")
    sys.exit(77)


class UnlikeRunsTest(ServiceTestCase):
    def test_Fault51_sixty_unlike_runs_on_one_worker_have_the_bits_of_each_alone(self):
        write_students(self.folder)
        write_datasets(self.path("data"))
        teachers = train_teachers(self.folder)
        drawn = write_specs(self.folder, teachers)
        found = all_alone([path for runs in drawn for path in runs], self.path("data"))
        expected = {path: done["run"] for path, done in found.items()}
        # Many start from the same weights without being the same run.
        self.assertLess(len({done["initial_weights_sha256"] for done in expected.values()}), RUNS // 2)
        self.assertGreater(len({done["weights_sha256"] for done in expected.values()}), RUNS * 9 // 10)

        served = self.path("served.pt")
        os.link(teachers[0], served)
        coordinator = self.coordinator("--lease-seconds", 300)
        teacher = self.teacher(served, "--data-dir", self.path("data"), "--cache-dir",
                               self.path("cache"), "--allow-reload", "loopback")
        worker = self.worker("worker", coordinator.address, teacher.address, "--data-dir",
                             self.path("data"), "--student-dir", self.folder)
        unlike = []
        for number, (model, runs) in enumerate(zip(teachers, drawn)):
            if number > 0:
                self.replace(served, model, teacher.address)
            random.Random(number).shuffle(runs)
            # It stands still until all are there: then each of its tasks is another run's.
            worker.signal(signal.SIGSTOP)
            run_ids = [(path, self.submit(path, coordinator.address)) for path in runs]
            worker.signal(signal.SIGCONT)
            for path, run_id in run_ids:
                done = self.finish(run_id, coordinator.address)
                for what in ("initial_weights_sha256", "weights_sha256"):
                    if done[what] != expected[path][what]:
                        with open(path) as file:
                            unlike.append(f"{what} is {done[what]}, alone "
                                          f"{expected[path][what]}:\n{file.read()}")
                self.assertFalse(done["inexact"])
        self.assertEqual(unlike, [], f"{len(unlike)} differ:\n" + "\n".join(unlike))

    def replace(self, served, model, address):
        """Gives the teacher another file, and lets it load that."""
        os.link(model, served + ".new")
        os.replace(served + ".new", served)
        stubs = self.path("stubs")
        os.makedirs(stubs)
        add_stubs(stubs, "tensor", "teacher_service")
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc
        with grpc.insecure_channel(address) as channel:
            stub = teacher_service_pb2_grpc.TeacherServiceStub(channel)
            before = stub.GetTeacher(teacher_service_pb2.GetTeacherRequest()).teacher
            after = stub.ReloadModel(
                teacher_service_pb2.ReloadModelRequest(request_id="second")).teacher
        self.assertNotEqual(after.teacher_digest, before.teacher_digest)


if __name__ == "__main__":
    unittest.main()
