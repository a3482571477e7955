#!/usr/bin/env python3
"""The memory of a worker does not grow with its data: at most four times the model, two shards and
200 MiB, LibTorch among them; whether it has the files or gets the samples from a teacher."""

import os
import struct
import unittest

from services import ServiceTestCase, run

SAMPLES = 300_000  # 235 MB of pixels, more than the whole process may take
SHARD = 2000
IMAGE = 28 * 28
MODEL_BYTES = 4 * (784 * 64 + 64 + 64 * 10 + 10)
MOST_BYTES = 4 * MODEL_BYTES + 2 * SHARD * IMAGE + (200 << 20)
SPEC = """\
name: memory
dataset: {name: mnist, shard_size: 2000}
student: {architecture: "mlp:784-64-10"}
loss: {alpha: 0}
training: {rounds: 2, replicas: 2, local_steps: 300, batch_size: 100, learning_rate: 0.05}
"""


def write_idx(path, sizes, elements):
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes))
        file.write(elements)


def most_resident_bytes(process):
    with open(f"/proc/{process.child.pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


class MemoryTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        self.data = self.path("data")
        folder = os.path.join(self.data, "mnist")
        os.makedirs(folder)
        block = os.urandom(1000 * IMAGE)
        for part, count in (("train", SAMPLES), ("t10k", 1000)):
            write_idx(os.path.join(folder, f"{part}-images-idx3-ubyte"), [count, 28, 28],
                      block * (count // 1000))
            write_idx(os.path.join(folder, f"{part}-labels-idx1-ubyte"), [count],
                      bytes(range(10)) * (count // 10))

    def memory_of(self, coordinator, teacher="", *arguments):
        worker = self.worker("worker", coordinator.address, teacher, *arguments)
        done = self.finish(self.submit(self.write("run.yaml", SPEC), coordinator.address),
                           coordinator.address)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        most = most_resident_bytes(worker)
        self.assertEqual(worker.terminate(), 0, worker.log())
        print(f"at most {most / 2**20:.1f} MiB resident, allowed {MOST_BYTES / 2**20:.1f}")
        return most, worker.log()

    def test_a_worker_with_the_files(self):
        coordinator = self.coordinator()
        # The first opening computes the digest, the second takes it from the side file.
        for _ in range(2):
            most, _ = self.memory_of(coordinator, "", "--data-dir", self.data)
            self.assertLessEqual(most, MOST_BYTES)
        self.assertTrue(os.path.exists(os.path.join(self.data, "mnist", ".distillery")))

    def test_a_worker_that_gets_the_samples(self):
        model = self.path("teacher.pt")
        run("distillery", "train-teacher", "--architecture", "mlp:784-16-10", "--epochs", 1,
            "--dataset", "mnist", "--data-dir", self.data, "--output", model)
        coordinator = self.coordinator()
        teacher = self.teacher(model, "--data-dir", self.data)
        most, log = self.memory_of(coordinator, teacher.address)
        self.assertIn("came from the teacher", log)
        self.assertLessEqual(most, MOST_BYTES)


if __name__ == "__main__":
    unittest.main()
