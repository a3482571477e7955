#!/usr/bin/env python3
"""What we serve and save, seen by stock Python: grpcio stubs of our proto, and torch.jit.load."""

import importlib
import json
import math
import os
import subprocess
import sys
import unittest

import specs
from services import TeacherTestCase, add_stubs, program, run

try:
    import grpc
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio and python3-torch")
    sys.exit(77)


def import_stubs(folder):
    """Modules of the teacher's messages, its service and its tensors."""
    add_stubs(folder, "tensor", "teacher_service")
    return (importlib.import_module("distillery.v1.teacher_service_pb2"),
            importlib.import_module("distillery.v1.teacher_service_pb2_grpc"),
            importlib.import_module("distillery.v1.tensor_pb2"))


def rows_of(tensor):
    return torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).view(*tensor.shape)


class PythonTest(TeacherTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.messages, cls.rpc, cls.tensors = import_stubs(cls.class_folder)

    def stub(self, address):
        return self.rpc.TeacherServiceStub(grpc.insecure_channel(address))

    def compute(self, stub, inputs, temperature, representation):
        tensor = self.tensors.Tensor(data_type=self.tensors.DATA_TYPE_FLOAT32,
                                     shape=list(inputs.shape), data=inputs.numpy().tobytes())
        answer = stub.ComputeSoftTargets(self.messages.ComputeSoftTargetsRequest(
            inputs=tensor, temperature=temperature, representation=representation), timeout=30)
        return rows_of(answer.soft_targets)

    def stream(self, stub, shard, temperature, representation):
        """All rows of a shard; checks header, order and trailer."""
        request = self.messages.StreamSoftTargetsRequest(
            dataset=self.tensors.DatasetSelector(name="digits", split="test", shard_size=200),
            shard=shard, temperature=temperature, representation=representation)
        chunks, header, trailer = [], None, None
        for message in stub.StreamSoftTargets(request, timeout=30):
            kind = message.WhichOneof("message")
            if kind == "header":
                header = message.header
            elif kind == "chunk":
                self.assertEqual(message.chunk.start_row, sum(len(chunk) for chunk in chunks))
                chunks.append(rows_of(message.chunk.values))
            else:
                trailer = message.trailer
        rows = torch.cat(chunks)
        self.assertEqual(header.row_count, len(rows))
        self.assertEqual(trailer.row_count, len(rows))
        return rows

    def test_soft_targets_of_a_shard_at_several_temperatures(self):
        stub = self.stub(self.teacher(self.teacher_file).address)
        teacher = stub.GetTeacher(self.messages.GetTeacherRequest(), timeout=30).teacher
        self.assertEqual(list(teacher.input_shape), [1, 8, 8])
        self.assertEqual(len(teacher.class_names), 10)
        raw = self.stream(stub, 0, 1, self.messages.REPRESENTATION_LOGITS)
        self.assertEqual(list(raw.shape), [200, 10])
        for temperature in (1, 2, 4, 20):
            logits = self.stream(stub, 0, temperature, self.messages.REPRESENTATION_LOGITS)
            soft = self.stream(stub, 0, temperature, self.messages.REPRESENTATION_PROBABILITIES)
            self.assertLess((logits - raw / temperature).abs().max().item(), 1e-6)
            self.assertLess((soft.double().sum(1) - 1).abs().max().item(), 1e-6)
            expected = torch.softmax(logits.double(), 1)
            self.assertLess((soft.double() - expected).abs().max().item(), 1e-6)

    def test_soft_targets_of_our_own_inputs(self):
        stub = self.stub(self.teacher(self.teacher_file).address)
        inputs = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        for temperature in (0.5, 1, 3, 100):
            logits = self.compute(stub, inputs, temperature, self.messages.REPRESENTATION_LOGITS)
            soft = self.compute(stub, inputs, temperature,
                                self.messages.REPRESENTATION_PROBABILITIES)
            self.assertEqual(list(soft.shape), [7, 10])
            self.assertLess((soft.double().sum(1) - 1).abs().max().item(), 1e-6)
            self.assertLess(
                (soft.double() - torch.softmax(logits.double(), 1)).abs().max().item(), 1e-6)

    def test_temperatures_that_make_no_sense_are_refused(self):
        stub = self.stub(self.teacher(self.teacher_file).address)
        inputs = torch.rand(1, 1, 8, 8)
        for temperature in (0, -1, math.nan, math.inf):
            with self.assertRaises(grpc.RpcError) as caught:
                self.compute(stub, inputs, temperature, self.messages.REPRESENTATION_LOGITS)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("temperature", caught.exception.details())

    def test_a_student_loads_in_python_with_the_same_outputs(self):
        for name, architecture in (("mlp", "mlp:64-16-10,dropout=0.3"), ("lenet", "lenet")):
            spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=1,
                                                       architecture=architecture))
            folder = self.path(name)
            run("distillery", "run", spec, "--output", folder)
            student = torch.jit.load(os.path.join(folder, "student.pt"))
            self.assertFalse(student.training)
            parameter_count = sum(parameter.numel() for parameter in student.parameters())
            for file in ("student.pt", "student_int8.pt"):
                extra = {"distillery.json": ""}
                student = torch.jit.load(os.path.join(folder, file), _extra_files=extra)
                card = json.loads(extra["distillery.json"])
                inputs = torch.rand(33, 1, 8, 8, generator=torch.Generator().manual_seed(2))
                with torch.no_grad():
                    expected = student((inputs - card["mean"][0]) / card["deviation"][0])
                # Our own C++ serves the same file: its logits at T = 1 are the student's outputs.
                service = self.listen(f"{name}-{file}", "teacher_service", "--model",
                                      os.path.join(folder, file))
                stub = self.stub(service.address)
                health = self.wait_until_ready(stub)
                self.assertEqual(health.parameter_count, parameter_count)
                ours = self.compute(stub, inputs, 1, self.messages.REPRESENTATION_LOGITS)
                self.assertLess((ours - expected).abs().max().item(), 1e-5, (name, file))

    def wait_until_ready(self, stub):
        while True:
            try:
                return stub.GetTeacher(self.messages.GetTeacherRequest(), timeout=30,
                                       wait_for_ready=True).teacher
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise

    def test_the_coordinator_links_no_torch(self):
        linked = subprocess.run(["ldd", program("coordinator")], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        names = " ".join(line.split()[0] for line in linked.splitlines())
        self.assertIn("libgrpc", names)
        for library in ("torch", "c10", "blas"):
            self.assertNotIn(library, names)


if __name__ == "__main__":
    unittest.main()
