#!/usr/bin/env python3
"""deploy/examples as a user meets them: the pip package, the own loop, scripting, grpcurl's bodies."""

import os
import re
import subprocess
import sys
import unittest

from services import SOURCE, TeacherTestCase, run

try:
    import grpc
    import numpy
    import pip  # noqa: F401
    import torch  # noqa: F401
    from google.protobuf import json_format
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio, python3-numpy, python3-pip, python3-torch")
    sys.exit(77)

EXAMPLES = os.path.join(SOURCE, "deploy", "examples")


class ExamplesTest(TeacherTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site = os.path.join(cls.class_folder, "site")
        # --no-deps: what it needs comes from Debian's packages here.
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                        "--no-build-isolation", "--no-index", "--target", cls.site,
                        os.path.join(EXAMPLES, "python")], check=True)
        sys.path.insert(0, cls.site)

    def example(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(EXAMPLES, arguments[0]),
                               *arguments[1:]], check=True, text=True, stdout=subprocess.PIPE,
                              env=dict(os.environ, PYTHONPATH=self.site)).stdout

    def test_the_client_gives_numpy_arrays(self):
        import distillery_client
        teacher = distillery_client.Teacher(self.teacher(self.teacher_file).address)
        images = numpy.random.default_rng(1).random((5, 1, 8, 8))
        soft = teacher.compute(images, temperature=4)
        self.assertEqual(soft.shape, (5, 10))
        self.assertTrue(numpy.allclose(soft.sum(1), 1, atol=1e-6))
        whole = teacher.shard("digits", "test", shard=1, shard_size=200, temperature=1)
        self.assertEqual(whole.shape, (197, 10))
        warm = teacher.shard("digits", "test", 1, 200, 4, distillery_client.PROBABILITIES)
        exponent = numpy.exp(whole.astype(numpy.float64) / 4)
        self.assertTrue(numpy.allclose(warm, exponent / exponent.sum(1, keepdims=True), atol=1e-6))
        with self.assertRaises(grpc.RpcError) as caught:
            teacher.shard("digits", "test", 7, 200, 4)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_a_loop_of_ones_own_learns_from_the_teacher(self):
        address = self.teacher(self.teacher_file).address
        said = self.example("train_own_loop.py", "--teacher", address)
        accuracy = float(re.search(r"accuracy ([\d.]+) %", said).group(1))
        self.assertGreaterEqual(accuracy, 92, said)

    def test_a_net_scripted_in_python_is_served(self):
        path = self.path("scripted.pt")
        self.example("script_teacher.py", path)
        import distillery_client
        teacher = distillery_client.Teacher(self.teacher(path).address)
        self.assertEqual(list(teacher.about().input_shape), [3, 32, 32])
        soft = teacher.compute(numpy.zeros((2, 3, 32, 32)), temperature=2)
        self.assertEqual(soft.shape, (2, 10))

    def test_the_bodies_for_grpcurl_are_answered(self):
        from distillery.v1 import coordinator_service_pb2 as runs
        from distillery.v1 import coordinator_service_pb2_grpc as run_stubs
        from distillery.v1 import teacher_service_pb2 as messages
        from distillery.v1 import teacher_service_pb2_grpc as stubs
        teacher = stubs.TeacherServiceStub(
            grpc.insecure_channel(self.teacher(self.teacher_file).address))
        coordinator = run_stubs.CoordinatorServiceStub(
            grpc.insecure_channel(self.coordinator().address))

        def body(name, message):
            with open(os.path.join(EXAMPLES, "grpcurl", name + ".json")) as file:
                return json_format.Parse(file.read(), message)

        about = teacher.GetTeacher(body("GetTeacher", messages.GetTeacherRequest()),
                                   timeout=30).teacher
        self.assertEqual(len(about.class_names), 10)
        streamed = list(teacher.StreamSoftTargets(
            body("StreamSoftTargets", messages.StreamSoftTargetsRequest()), timeout=30))
        self.assertEqual(streamed[-1].trailer.row_count, 128)
        answer = teacher.ComputeSoftTargets(
            body("ComputeSoftTargets", messages.ComputeSoftTargetsRequest()), timeout=30)
        self.assertEqual(list(answer.soft_targets.shape), [1, 10])
        submitted = coordinator.SubmitRun(body("SubmitRun", runs.SubmitRunRequest()), timeout=30)
        listed = coordinator.ListRuns(body("ListRuns", runs.ListRunsRequest()), timeout=30)
        self.assertEqual([r.run_id for r in listed.runs], [submitted.run.run_id])


if __name__ == "__main__":
    unittest.main()
