#!/usr/bin/env python3
"""A residual network with BatchNorm, averaged over four replicas on 5,000 images of 32 x 32."""

import json
import os
import struct
import unittest

from services import ServiceTestCase, run

SAMPLES, TEST_SAMPLES, CLASSES = 5000, 500, 10
SPEC = """\
name: residual
dataset: {name: shapes, shard_size: 250}
student: {architecture: resnet8}
loss: {alpha: 0}
training:
  rounds: 4
  replicas: 4
  local_epochs: 1
  batch_size: 50
  learning_rate: 0.05
"""


def write_npy(path, kind, shape, data):
    header = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def image(number):
    """3 x 32 x 32: a bright square whose place and colour are the class, in noise."""
    label = number % CLASSES
    state = number * 2654435761 % 2**32
    pixels = bytearray()
    for i in range(3 * 32 * 32):
        if i % 8 == 0:
            state = (state * 1664525 + 1013904223) % 2**32
        pixels.append(64 + (state >> (i % 8 + 8)) % 96)
    top, left, colour = label // 5 * 14 + 2, label % 5 * 6 + 1, label % 3
    for row in range(top, top + 10):
        start = colour * 1024 + row * 32 + left
        pixels[start:start + 5] = bytes([200] * 5)
    return bytes(pixels)


class ResidualTest(ServiceTestCase):
    def test_the_average_of_four_replicas_is_sane_and_needs_its_buffers(self):
        folder = self.path("data/shapes")
        os.makedirs(folder)
        for split, first, count in (("train", 0, SAMPLES), ("test", SAMPLES, TEST_SAMPLES)):
            write_npy(f"{folder}/{split}_images.npy", "|u1", (count, 3, 32, 32),
                      b"".join(image(i) for i in range(first, first + count)))
            write_npy(f"{folder}/{split}_labels.npy", "|u1", (count,),
                      bytes(i % CLASSES for i in range(first, first + count)))
        spec = self.write("run.yaml", SPEC)
        done = json.loads(run("distillery", "run", spec, "--data-dir", self.path("data"),
                              "--output", self.path("out"), "--json").stdout)
        losses = [one["train"]["loss"] for one in done["rounds"]]
        self.assertEqual(len(losses), 4)
        self.assertEqual(losses, sorted(losses, reverse=True), "the loss falls")
        # Right after each averaging, not only at the end. Chance is a tenth.
        accuracies = [int(one["evaluation"]["correct_count"]) / TEST_SAMPLES
                      for one in done["rounds"]]
        self.assertGreater(accuracies[0], 0.15, accuracies)
        self.assertGreater(accuracies[1], 0.3, accuracies)
        self.assertGreater(accuracies[-1], 0.9, accuracies)
        evaluation = done["run"]["latest_evaluation"]
        self.assertLess(evaluation["cross_entropy"], 0.5)
        # The same parameters with BatchNorm's first averages, as if buffers were left behind.
        forgotten = self.accuracy_without_buffers()
        self.assertLess(forgotten, accuracies[-1] - 0.3,
                        "this test would not see buffers that are not averaged")

    def accuracy_without_buffers(self):
        try:
            import torch
        except ImportError:
            self.skipTest("python3-torch is not there")
        extra = {"distillery.json": ""}
        model = torch.jit.load(self.path("out/student.pt"), _extra_files=extra)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.zero_()
            if name.endswith("running_var"):
                buffer.fill_(1)
        torch.jit.save(model, self.path("forgotten.pt"),
                       _extra_files={"distillery.json": extra["distillery.json"]})
        measured = json.loads(run("distillery", "evaluate", self.path("forgotten.pt"), "--dataset",
                                  "shapes", "--data-dir", self.path("data"), "--json").stdout)
        return measured["accuracy"]


if __name__ == "__main__":
    unittest.main()
