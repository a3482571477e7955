#!/usr/bin/env python3
"""Exported students in engines and readers that are not ours."""

import json
import os
import struct
import sys
import unittest

import specs
from services import TeacherTestCase, run

try:
    import cv2
    import numpy
    import torch
    from torch.jit.mobile import _load_for_lite_interpreter
except ImportError as error:
    print(f"skipped: {error}; install python3-opencv and python3-torch")
    sys.exit(77)

STUDENTS = {"mlp": "mlp:64-16-10,dropout=0.3", "lenet": "lenet", "resnet": "resnet8",
            "wide": "wrn-10-2,dropout=0.3,input_dropout=0.1"}


def read_safetensors(path):
    """By the published layout: 8-byte little-endian header length, JSON header, bytes."""
    with open(path, "rb") as file:
        content = file.read()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + size])
    data = content[8 + size:]
    types = {"F32": numpy.float32, "I64": numpy.int64}
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(data[first:last], types[entry["dtype"]]).reshape(
            entry["shape"])
    return tensors


class FormatsTest(TeacherTestCase):
    def setUp(self):
        super().setUp()
        self.inputs = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(4)) * 4 - 1

    def student(self, name):
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=1, local_epochs=1,
                                                   architecture=STUDENTS[name]))
        run("distillery", "run", spec, "--output", self.path(name))
        path = self.path(name + "/student.pt")
        with torch.no_grad():
            return path, torch.jit.load(path)(self.inputs).numpy()

    def export(self, path, ending, *flags):
        target = path[:-2] + ending
        run("distillery", "export", "--model", path, "--output", target, *flags)
        return target

    def evaluate(self, path):
        return json.loads(run("distillery", "evaluate", path, "--json").stdout)

    def test_onnx_runs_in_opencv_with_our_outputs(self):
        for name in STUDENTS:
            path, expected = self.student(name)
            network = cv2.dnn.readNetFromONNX(self.export(path, "onnx"))
            for image, row in zip(self.inputs.numpy(), expected):
                network.setInput(image[None])
                self.assertLess(numpy.abs(network.forward() - row).max(), 1e-4, name)

    def test_safetensors_hold_the_students_tensors(self):
        for student in ("lenet", "resnet"):
            path, _ = self.student(student)
            tensors = read_safetensors(self.export(path, "safetensors"))
            state = torch.jit.load(path).state_dict()
            self.assertEqual(sorted(tensors), sorted(state))
            for name, values in tensors.items():
                self.assertTrue(numpy.array_equal(values, state[name].numpy()), name)

    def test_the_mobile_interpreter_gives_our_outputs(self):
        for name in STUDENTS:
            path, expected = self.student(name)
            mobile = _load_for_lite_interpreter(self.export(path, "ptl"))
            self.assertLess(numpy.abs(mobile.forward(self.inputs).detach().numpy() - expected).max(), 1e-5)

    def test_int8_students_are_small_and_as_good_everywhere(self):
        for name in STUDENTS:
            path, expected = self.student(name)
            int8 = self.path(name + "/student_int8.pt")  # the run left it
            with torch.no_grad():
                outputs = torch.jit.load(int8)(self.inputs).numpy()
            # No multiple of the rounding error: a bound on what it does to the outputs as a whole.
            self.assertLess(numpy.abs(outputs - expected).max(), 0.1 * expected.std(), name)
            mobile = _load_for_lite_interpreter(self.export(path, "int8.ptl", "--int8"))
            difference = numpy.abs(mobile.forward(self.inputs).detach().numpy() - outputs).max()
            self.assertLess(difference, 1e-5, name)
            large, small = self.evaluate(path), self.evaluate(int8)
            self.assertEqual(large["parameter_count"], small["parameter_count"])
            self.assertLess(small["file_byte_count"], large["file_byte_count"])
            self.assertLess(abs(large["accuracy"] - small["accuracy"]), 0.01, name)
            again = self.evaluate(self.export(path, "again.pt", "--int8"))
            self.assertEqual(again["cross_entropy"], small["cross_entropy"])

    def test_int8_is_a_quarter_of_a_large_file_and_says_so(self):
        target = self.path("int8.pt")
        done = run("distillery", "export", "--model", self.teacher_file, "--int8", "--output",
                   target)
        small, large = os.path.getsize(target), os.path.getsize(self.teacher_file)
        self.assertIn(f"int8: {small / 1000:.1f} KB, float32: {large / 1000:.1f} KB", done.stdout)
        self.assertLess(small, 0.4 * large)  # 9,600 weights; the code is 3 KB
        about = json.loads(run("distillery", "model", "show", target, "--json").stdout)
        self.assertTrue(about["int8"])
        self.assertIn([128, 64], [tensor["shape"] for tensor in about["tensors"]])
        self.assertIn("int8", run("distillery", "model", "show", target).stdout)

    def test_int8_is_refused_where_it_has_no_form(self):
        int8 = self.export(self.teacher_file, "int8.pt", "--int8")
        for arguments, reason in (
                ((self.teacher_file, "--int8", "--output", self.path("x.onnx")), "for .pt"),
                ((self.teacher_file, "--int8", "--output", self.path("x.safetensors")), "for .pt"),
                ((int8, "--output", self.path("x.onnx")), "for .pt"),
                ((int8, "--output", self.path("x.safetensors")), "for .pt"),
                ((int8, "--int8", "--output", self.path("x.ptl")), "int8 already")):
            done = run("distillery", "export", "--model", *arguments, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(reason, done.stderr)

    def test_torchscript_again_is_the_same_model(self):
        path, expected = self.student("mlp")
        copy = self.path("copy.pt")
        run("distillery", "export", "--model", path, "--output", copy)
        with torch.no_grad():
            self.assertTrue(numpy.array_equal(torch.jit.load(copy)(self.inputs).numpy(), expected))

    def test_an_unknown_ending_is_refused_with_the_known_ones(self):
        done = run("distillery", "export", "--model", self.teacher_file, "--output",
                   self.path("x.tflite"), check=False)
        self.assertEqual(done.returncode, 2)
        for ending in (".pt", ".ptl", ".safetensors", ".onnx"):
            self.assertIn(ending, done.stderr)


if __name__ == "__main__":
    unittest.main()
