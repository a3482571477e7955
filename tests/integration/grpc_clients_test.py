#!/usr/bin/env python3
"""Both services, seen by clients that others make: Triton's image client, grpc-js, a reflection client
that asks for v1 first, and anybody at the wrong port."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import unittest

from services import BIN, PATIENCE, SOURCE, TeacherTestCase, run

sys.path.insert(0, os.path.join(SOURCE, "tests", "clients"))
try:
    import grpc
    from reflection_client import ReflectionClient
    from triton_client import TritonImageClient, make_stubs
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio")
    sys.exit(77)

PIXELS = 64
OWN = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
       "grpc.reflection.v1alpha.ServerReflection"]
TEACHERS = ["distillery.v1.TeacherService", *OWN, "inference.GRPCInferenceService"]
COORDINATORS = ["distillery.v1.CoordinatorService", *OWN]


def pictures(rows, seed=1):
    """Pixels of random pictures, exact in float32."""
    generator = random.Random(seed)
    return [generator.randrange(257) / 256 for _ in range(rows * PIXELS)]


def packed(pixels):
    return struct.pack(f"<{len(pixels)}f", *pixels)


def raw_call(channel, method, request=b""):
    """Bytes to a method by its path; returns code and details."""
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        call(request, timeout=30)
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


class GrpcClientsTest(TeacherTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.messages, cls.services = make_stubs(cls.class_folder)

    def channel(self, service):
        channel = grpc.insecure_channel(service.address)
        self.addCleanup(channel.close)
        return channel

    def triton(self, service):
        return TritonImageClient(self.channel(service), self.messages, self.services)

    def soft_targets(self, triton, pixels, rows):
        request = self.messages.ModelInferRequest(model_name="teacher")
        request.inputs.add(name="inputs", datatype="FP32", shape=[rows, 1, 8, 8])
        request.raw_input_contents.append(packed(pixels))
        answer = triton.stub.ModelInfer(request, timeout=30)
        values = struct.unpack(f"<{rows * 10}f", answer.raw_output_contents[0])
        return [values[row * 10:(row + 1) * 10] for row in range(rows)]

    def test_a_triton_image_client_classifies_pictures(self):
        triton = self.triton(self.teacher(self.teacher_file))
        self.assertEqual(triton.parse_model("teacher"), ("inputs", "soft_targets", 1, 8, 8))
        pixels = pictures(5)
        expected = self.soft_targets(triton, pixels, 5)
        for count in (1, 3, 10, 1000):
            found = triton.classify("teacher", packed(pixels), [5, 1, 8, 8], count)
            for row, values in zip(found, expected):
                best = sorted(range(10), key=lambda index: (-values[index], index))[:count]
                self.assertEqual([index for _, index, _ in row], best)
                self.assertEqual([name for *_, name in row], [str(index) for index in best])
                for (value, index, _) in row:
                    self.assertAlmostEqual(value, values[index], delta=1e-5)
        extensions = triton.stub.ServerMetadata(self.messages.ServerMetadataRequest(),
                                                timeout=30).extensions
        self.assertIn("classification", extensions)

    def test_tritons_probes_for_features_are_unimplemented(self):
        triton = self.triton(self.teacher(self.teacher_file))
        for name in ("RepositoryIndex", "SystemSharedMemoryStatus", "LogSettings"):
            with self.assertRaises(grpc.RpcError) as caught:
                getattr(triton.stub, name)(getattr(self.messages, name + "Request")(), timeout=30)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
            self.assertIn(name, caught.exception.details())
        with self.assertRaises(grpc.RpcError) as caught:
            list(triton.stub.ModelStreamInfer(iter([]), timeout=30))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_reflection_is_asked_for_v1_first_and_tells_all(self):
        teacher = self.teacher(self.teacher_file)
        for service, names in ((teacher, TEACHERS), (self.coordinator(), COORDINATORS)):
            for versions in (("v1", "v1alpha"), ("v1alpha",), ("v9", "v1"), ("v9", "v1alpha")):
                client = ReflectionClient(self.channel(service), versions)
                self.assertEqual(client.services(), names)
                for name in names:
                    self.assertGreater(len(client.service(name).methods), 0)
                self.assertEqual(client.versions[0], [v for v in versions if v != "v9"][0])
        client = ReflectionClient(self.channel(teacher))
        answer = client.call("distillery.v1.TeacherService", "GetTeacher")
        self.assertEqual(answer.teacher.model_name, "teacher")
        with self.assertRaises(KeyError):
            client.service("no.Service")

    def test_health_has_each_service_by_its_name(self):
        for service, names in ((self.teacher(self.teacher_file), ["", "teacher", *TEACHERS]),
                               (self.coordinator(), ["", *COORDINATORS])):
            client = ReflectionClient(self.channel(service))
            for name in names:
                answer = client.call("grpc.health.v1.Health", "Check", service=name)
                self.assertEqual(answer.status, 1, name)  # SERVING
            with self.assertRaises(grpc.RpcError) as caught:
                client.call("grpc.health.v1.Health", "Check", service="no.Service")
            self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_unknown_methods_are_unimplemented_and_bytes_that_are_no_message_are_not(self):
        teacher, coordinator = self.teacher(self.teacher_file), self.coordinator()
        for service, method, pattern in (
                (teacher, "/no.Service/Method", "this is a teacher"),
                (teacher, "/distillery.v1.TeacherService/GetTeachers", 'did you mean "GetTeacher"'),
                (teacher, "/distillery.v1.CoordinatorService/ListRuns",
                 "is a service of a coordinator, and this is a teacher: check host and port"),
                (coordinator, "/distillery.v1.TeacherService/GetTeacher",
                 "is a service of a teacher, and this is a coordinator: check host and port"),
                (coordinator, "/inference.GRPCInferenceService/ServerLive", "is a service of a teacher"),
                (coordinator, "/no.Service/Method", "this is a coordinator")):
            code, details = raw_call(self.channel(service), method)
            self.assertEqual(code, grpc.StatusCode.UNIMPLEMENTED, method)
            self.assertIn(pattern, details)
        for service, method in ((teacher, "/distillery.v1.TeacherService/GetTeacher"),
                                (teacher, "/inference.GRPCInferenceService/ModelInfer"),
                                (coordinator, "/distillery.v1.CoordinatorService/GetRun")):
            code, details = raw_call(self.channel(service), method, b"\xff\xff")
            self.assertEqual(code, grpc.StatusCode.INTERNAL)
            self.assertIn("no message of this method", details)

    def test_swapped_ports_are_said_to_be_swapped(self):
        teacher, coordinator = self.teacher(self.teacher_file), self.coordinator()
        done = run("distillery", "runs", "--coordinator", teacher.address, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("this is a teacher: check host and port", done.stderr)
        worker = self.worker("lost", teacher.address, coordinator.address)
        self.assertEqual(worker.child.wait(timeout=PATIENCE), 1)
        self.assertIn("this is a teacher: check host and port", worker.log())

    def test_fault_52_a_bad_client_fails_none_of_the_good_ones(self):
        teacher = self.teacher(self.teacher_file, "--compute-slots", "1")
        pixels = pictures(1, seed=3)
        expected = self.soft_targets(self.triton(teacher), pixels, 1)[0]
        rounds, stop, failures, refused = 150, threading.Event(), [], []

        def good():
            triton = self.triton(teacher)
            for _ in range(rounds):
                try:
                    got = self.soft_targets(triton, pixels, 1)[0]
                    # The last bits depend on how many share the batch.
                    if max(abs(a - b) for a, b in zip(got, expected)) > 1e-4:
                        failures.append(got)
                except grpc.RpcError as error:
                    failures.append(error.details())

        def bad():
            triton = self.triton(teacher)
            kinds = [float("nan"), float("inf"), -float("inf"), 255.0, -1.0]
            while not stop.is_set():
                spoiled = list(pixels)
                spoiled[len(refused) % PIXELS] = kinds[len(refused) % len(kinds)]
                try:
                    self.soft_targets(triton, spoiled, 1)
                    failures.append("a bad picture was answered")
                except grpc.RpcError as error:
                    refused.append(error.code())

        spoiler = threading.Thread(target=bad)
        clients = [threading.Thread(target=good) for _ in range(4)]
        for thread in (spoiler, *clients):
            thread.start()
        for thread in clients:
            thread.join()
        stop.set()
        spoiler.join()
        self.assertEqual(failures, [])
        self.assertEqual(set(refused), {grpc.StatusCode.INVALID_ARGUMENT})

    def test_grpc_js(self):
        modules = node_modules(self)
        teacher = self.teacher(self.teacher_file)
        pixels = pictures(2)
        done = subprocess.run(
            ["node", os.path.join(SOURCE, "tests", "clients", "grpc_js_client.js"), modules,
             os.path.join(SOURCE, "proto"), teacher.address, json.dumps(pixels)],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        rows = self.soft_targets(self.triton(teacher), pixels, 2)
        for value, expected in zip(got["soft_targets"], [value for row in rows for value in row]):
            self.assertAlmostEqual(value, expected, delta=1e-5)
        texts = [text.split(":") for text in got["classes"]]
        self.assertEqual([int(index) for _, index, _ in texts],
                         [index for row in rows
                          for index in sorted(range(10), key=lambda i: -row[i])[:2]])
        self.assertEqual(got["metadata"]["name"], "distillery")
        self.assertEqual(got["config"]["input"][0]["format"], "FORMAT_NCHW")
        self.assertEqual(got["spoiled"]["code"], grpc.StatusCode.INVALID_ARGUMENT.value[0])
        self.assertEqual(got["health"]["response"]["status"], "SERVING")
        self.assertEqual(got["no_health"]["code"], grpc.StatusCode.NOT_FOUND.value[0])
        self.assertEqual(got["unknown"]["code"], grpc.StatusCode.UNIMPLEMENTED.value[0])
        self.assertEqual(got["elsewhere"]["code"], grpc.StatusCode.UNIMPLEMENTED.value[0])
        self.assertIn("this is a teacher", got["elsewhere"]["details"])
        self.assertEqual(got["reflection"], TEACHERS)
        self.assertEqual(got["older_reflection"], TEACHERS)


def node_modules(test):
    """The folder of grpc-js, which npm puts beside the build once. Skips where it cannot."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        test.skipTest("no node or no npm: grpc-js cannot be had")
    folder = os.path.join(os.path.dirname(os.path.abspath(BIN)), "grpc_js")
    modules = os.path.join(folder, "node_modules")
    if not os.path.isdir(os.path.join(modules, "@grpc", "proto-loader")):
        try:
            done = subprocess.run(
                ["npm", "install", "--no-package-lock", "--no-save", "--no-audit", "--no-fund",
                 "--ignore-scripts", "--fetch-retries", "0", "--prefix", folder,
                 "@grpc/grpc-js@1", "@grpc/proto-loader@0.8"],
                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            test.skipTest("npm did not install grpc-js in time")
        if done.returncode != 0:
            test.skipTest("npm could not install grpc-js: " + done.stdout[-300:])
    return modules


if __name__ == "__main__":
    unittest.main()
