#!/usr/bin/env python3
"""The teacher service by the Open Inference Protocol, seen by a client that knows that alone."""

import json
import math
import os
import random
import re
import sys
import unittest

from services import SOURCE, TeacherTestCase, add_stubs, run

sys.path.insert(0, os.path.join(SOURCE, "tests", "clients"))
try:
    import grpc
    from open_inference_client import OpenInferenceClient, Tensor, make_stubs
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio")
    sys.exit(77)

PIXELS = 64
CLASSES = 10


def pictures(rows, seed=1):
    """An input tensor of random pictures whose pixels are exact in float32."""
    generator = random.Random(seed)
    return Tensor("inputs", "FP32", [rows, 1, 8, 8],
                  [generator.randrange(257) / 256 for _ in range(rows * PIXELS)])


def softmax(logits):
    largest = max(logits)
    powers = [math.exp(value - largest) for value in logits]
    return [power / sum(powers) for power in powers]


def rows_of(tensor):
    width = tensor.shape[1]
    return [tensor.values[i:i + width] for i in range(0, len(tensor.values), width)]


class OpenInferenceTest(TeacherTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.messages, cls.services = make_stubs(os.path.join(SOURCE, "proto"), cls.class_folder)

    def client(self, *arguments):
        self.service = self.teacher(self.teacher_file, *arguments)
        client = OpenInferenceClient(self.service.address, self.messages, self.services)
        self.addCleanup(client.close)
        return client

    def close_to(self, got, expected):
        """Within 1e-4 of the largest magnitude: a row's last bits depend on its batch."""
        self.assertEqual(len(got), len(expected))
        bound = 1e-4 * max(abs(value) for value in expected)
        for one, other in zip(got, expected):
            self.assertLessEqual(abs(one - other), bound)

    def refused(self, code, pattern, call, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertRegex(caught.exception.details(), pattern)
        self.assertNotIn(self.class_folder, caught.exception.details())

    def test_server_and_model_are_live_and_ready(self):
        client = self.client()
        self.assertTrue(client.live())
        self.assertTrue(client.ready())
        self.assertTrue(client.model_ready("teacher"))
        self.assertTrue(client.model_ready("teacher", "1"))

    def test_nothing_is_ready_before_the_model_is_loaded(self):
        service = self.listen("loading", "teacher_service", "--model", self.teacher_file)
        client = OpenInferenceClient(service.address, self.messages, self.services)
        self.addCleanup(client.close)
        self.assertTrue(client.live())
        answered = False
        while not answered:
            ready = client.model_ready("teacher")
            try:
                client.infer("teacher", [pictures(1)])
                answered = True
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("loading", error.details())
                self.assertFalse(ready)
        self.assertTrue(client.model_ready("teacher"))

    def test_metadata(self):
        client = self.client()
        server = client.server_metadata()
        self.assertEqual(server.name, "distillery")
        self.assertIn(server.version, run("teacher_service", "--version").stdout)
        self.assertEqual(list(server.extensions), ["classification", "model_configuration", "statistics"])
        model = client.model_metadata("teacher")
        self.assertEqual(model.name, "teacher")
        self.assertEqual(list(model.versions), ["1"])
        self.assertEqual(model.platform, "pytorch_torchscript")
        self.assertEqual([(one.name, one.datatype, list(one.shape)) for one in model.inputs],
                         [("inputs", "FP32", [-1, 1, 8, 8])])
        self.assertEqual([(one.name, one.datatype, list(one.shape)) for one in model.outputs],
                         [("soft_targets", "FP32", [-1, CLASSES])])
        self.assertTrue(re.fullmatch("[0-9a-f]{64}", model.properties["teacher_digest"]))
        self.assertEqual(json.loads(model.properties["class_names"]), list("0123456789"))
        self.assertIn("isa=", model.properties["numerics_fingerprint"])

    def test_configuration(self):
        config = self.client().model_config("teacher")
        self.assertEqual(config.name, "teacher")
        self.assertEqual(config.platform, "pytorch_torchscript")
        self.assertGreater(config.max_batch_size, 1)
        self.assertTrue(config.HasField("dynamic_batching"))
        self.assertEqual([list(one.dims) for one in config.input], [[1, 8, 8]])
        self.assertEqual([list(one.dims) for one in config.output], [[CLASSES]])

    def test_soft_targets_at_several_temperatures_raw_and_typed(self):
        client = self.client()
        inputs = pictures(7)
        logits = rows_of(client.infer("teacher", [inputs])["soft_targets"])
        for temperature in (1, 3, 10, 100):
            for representation in ("logits", "probabilities"):
                parameters = {"temperature": float(temperature), "representation": representation}
                raw = client.infer("teacher", [inputs], parameters=parameters)["soft_targets"]
                typed = client.infer("teacher", [inputs], raw=False,
                                     parameters=parameters)["soft_targets"]
                self.assertEqual(raw, typed)
                self.assertEqual(raw.shape, [7, CLASSES])
                for row, unsoftened in zip(rows_of(raw), logits):
                    expected = [value / temperature for value in unsoftened]
                    self.close_to(row, expected if representation == "logits"
                                  else softmax(expected))
            for value in (temperature, str(temperature)):  # int64, string
                same = client.infer("teacher", [inputs], parameters={"temperature": value})
                again = client.infer("teacher", [inputs],
                                     parameters={"temperature": float(temperature)})
                self.assertEqual(same, again)

    def test_logits_are_those_of_our_own_protocol(self):
        client = self.client()
        # In one folder with the protocol's, since Python finds either package there.
        add_stubs(self.class_folder, "tensor", "teacher_service")
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc, tensor_pb2
        stub = teacher_service_pb2_grpc.TeacherServiceStub(client.channel)
        inputs = pictures(33, seed=2)
        request = client.request("teacher", [inputs])
        for temperature in (1, 3, 10, 100):
            ours = stub.ComputeSoftTargets(teacher_service_pb2.ComputeSoftTargetsRequest(
                inputs=tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_FLOAT32,
                                         shape=inputs.shape, data=request.raw_input_contents[0]),
                temperature=temperature), timeout=30)
            got = client.infer("teacher", [inputs], parameters={"temperature": temperature})
            expected = memoryview(ours.soft_targets.data).cast("f")
            self.close_to(got["soft_targets"].values, list(expected))
        self.assertEqual(client.model_metadata("teacher").properties["teacher_digest"],
                         ours.teacher_digest)

    def test_top_k(self):
        client = self.client()
        inputs = pictures(5)
        logits = client.infer("teacher", [inputs], parameters={"temperature": 4})["soft_targets"]
        answers = [client.infer("teacher", [inputs], raw=raw,
                                parameters={"temperature": 4, "top_k": 3}) for raw in (True, False)]
        self.assertEqual(*answers)
        top = answers[0]
        self.assertEqual(list(top), ["soft_targets", "classes", "probabilities", "tail_mass"])
        self.assertEqual(top["classes"].datatype, "INT32")
        for row, z in enumerate(rows_of(logits)):
            expected = softmax(z)
            best = sorted(range(CLASSES), key=lambda index: -z[index])[:3]
            self.assertEqual(rows_of(top["classes"])[row], best)
            self.close_to(rows_of(top["probabilities"])[row], [expected[index] for index in best])
            tail = 1 - sum(expected[index] for index in best)
            self.assertAlmostEqual(top["tail_mass"].values[row], tail, delta=1e-6)
        named = client.infer("teacher", [inputs], parameters={"top_k": "1"},
                             outputs=["tail_mass", "classes"])
        self.assertEqual(list(named), ["tail_mass", "classes"])

    def test_other_types_of_input(self):
        client = self.client()
        inputs = pictures(3)
        expected = client.infer("teacher", [inputs])
        for raw in (True, False):
            self.assertEqual(client.infer("teacher", [inputs._replace(datatype="FP64")], raw=raw),
                             expected)
        levels = [round(value * 255) for value in inputs.values]
        scaled = inputs._replace(values=[level / 255 for level in levels])
        expected = client.infer("teacher", [scaled])["soft_targets"].values
        for raw in (True, False):
            got = client.infer("teacher", [inputs._replace(datatype="UINT8", values=levels)],
                               raw=raw)
            self.close_to(got["soft_targets"].values, expected)

    def test_the_answer_names_request_model_and_teacher(self):
        client = self.client()
        request = client.request("teacher", [pictures(1)], version="1", id="request 17")
        answer = client.stub.ModelInfer(request, timeout=30)
        self.assertEqual((answer.model_name, answer.model_version, answer.id),
                         ("teacher", "1", "request 17"))
        self.assertEqual(answer.parameters["teacher_digest"].string_param,
                         client.model_metadata("teacher").properties["teacher_digest"])

    def test_errors(self):
        client = self.client()
        invalid, not_found = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
        good = pictures(2)
        for code, pattern, change in (
                (not_found, 'unknown model "teachr"; did you mean "teacher"', {"model": "teachr"}),
                (not_found, "model_version", {"version": "2"}),
                (invalid, r"inputs\[0\]\.name", {"inputs": [good._replace(name="pixels")]}),
                (invalid, "inputs", {"inputs": []}),
                (invalid, r"inputs\[1\]", {"inputs": [good, good]}),
                (invalid, r"inputs\[0\]\.datatype", {"inputs": [good._replace(
                    datatype="INT64", values=b"")]}),
                (invalid, r"inputs\[0\]\.shape", {"inputs": [good._replace(shape=[2, 64])]}),
                (invalid, r"inputs\[0\]", {"inputs": [good._replace(shape=[0, 1, 8, 8])]}),
                (invalid, r"inputs\[0\]", {"inputs": [good._replace(shape=[-1, 1, 8, 8])]}),
                (invalid, r"inputs\[0\]", {"inputs": [good._replace(shape=[2**31, 2**31, 8, 8])]}),
                (invalid, "65 dimensions", {"inputs": [good._replace(shape=[1] * 65)]}),
                (invalid, r"raw_input_contents\[0\] has 511 bytes", {"inputs": [good._replace(
                    values=b"x" * 511)]}),
                (invalid, r"fp32_contents has 127", {"raw": False, "inputs": [good._replace(
                    values=good.values[1:])]}),
                (invalid, "unknown output", {"outputs": ["logits"]}),
                (invalid, "top_k", {"outputs": ["classes"]}),
                (invalid, "temperature", {"parameters": {"temperature": 0}}),
                (invalid, "temperature", {"parameters": {"temperature": math.inf}}),
                (invalid, "temperature", {"parameters": {"temperature": "warm"}}),
                (invalid, "representation", {"parameters": {"representation": "softmax"}}),
                (invalid, "top_k", {"parameters": {"top_k": 11}}),
                (invalid, 'unknown parameter "temprature"; did you mean "temperature"',
                 {"parameters": {"temprature": 1}}),
                (grpc.StatusCode.RESOURCE_EXHAUSTED, "4097 rows", {"inputs": [good._replace(
                    datatype="UINT8", shape=[4097, 1, 8, 8], values=bytes(4097 * PIXELS))]})):
            arguments = {"model": "teacher", "inputs": [good], **change}
            with self.subTest(pattern=pattern):
                self.refused(code, pattern, client.infer, **arguments)
        mixed = client.request("teacher", [good])
        mixed.inputs[0].contents.fp32_contents.append(1)
        self.refused(invalid, "raw_input_contents and .*contents", client.stub.ModelInfer, mixed)
        for call in (client.model_ready, client.model_metadata, client.model_config,
                     client.statistics):
            self.refused(not_found, "teachr", call, "teachr")
            self.refused(not_found, "version", call, "teacher", "2")
        self.assertEqual(client.infer("teacher", [good])["soft_targets"].shape, [2, CLASSES])

    def test_concurrent_single_rows_share_forward_passes(self):
        client = self.client("--compute-slots", "1")
        inputs = pictures(64)
        expected = rows_of(client.infer("teacher", [inputs])["soft_targets"])
        requests = [client.request("teacher", [Tensor(
            "inputs", "FP32", [1, 1, 8, 8], inputs.values[row * PIXELS:(row + 1) * PIXELS])])
            for row in range(64)]
        before = client.statistics("teacher")["teacher"]
        sent = 0
        # How many wait at once is the system's to say, so this goes on until some did.
        for _ in range(200):
            calls = [client.stub.ModelInfer.future(request, timeout=30) for request in requests]
            for call, row in zip(calls, expected):
                self.close_to(client.tensors(call.result())["soft_targets"].values, row)
            sent += len(calls)
            after = client.statistics("teacher")["teacher"]
            passes = after.execution_count - before.execution_count
            if passes < sent:
                break
        self.assertEqual(after.inference_count - before.inference_count, sent)
        self.assertLess(passes, sent)

    def test_statistics_add_up(self):
        client = self.client()
        self.assertEqual(list(client.statistics()), ["teacher"])
        self.assertEqual(client.statistics()["teacher"].inference_count, 0)
        for rows in (1, 2, 3):
            client.infer("teacher", [pictures(rows)])
        with self.assertRaises(grpc.RpcError):
            client.infer("teacher", [pictures(1)], parameters={"temperature": 0})
        one = client.statistics("teacher")["teacher"]
        self.assertEqual((one.name, one.version), ("teacher", "1"))
        self.assertEqual(one.inference_count, 6)
        self.assertEqual(one.execution_count, 3)
        self.assertGreater(one.last_inference, 1.6e12)
        stats = one.inference_stats
        self.assertEqual(stats.success.count, 3)
        self.assertEqual(stats.fail.count, 0)  # refused before it was a query
        self.assertGreater(stats.compute_infer.ns, 0)
        self.assertEqual(stats.success.ns, stats.queue.ns + stats.compute_infer.ns)
        self.assertEqual([(batch.batch_size, batch.compute_infer.count)
                          for batch in one.batch_stats], [(1, 1), (2, 1), (3, 1)])


if __name__ == "__main__":
    unittest.main()
