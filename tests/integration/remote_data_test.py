#!/usr/bin/env python3
"""A worker without the data gets it from the teacher, and makes the weights of one that has it."""

import os
import re
import struct
import sys
import unittest

from services import ServiceTestCase, run

try:
    from pictures import blobs
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy")
    sys.exit(77)

CLASSES = 10


def write_idx(path, array):
    """IDX of unsigned bytes: magic 00 00 08 DD, sizes big-endian, elements."""
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, array.ndim]))
        file.write(struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype("uint8").tobytes())


class RemoteDataTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        self.data = self.path("data")
        folder = os.path.join(self.data, "mnist")
        os.makedirs(folder)
        for part, count, seed in (("train", 420, 1), ("t10k", 140, 2)):
            images, labels = blobs(count, CLASSES, size=28, seed=seed)
            write_idx(os.path.join(folder, f"{part}-images-idx3-ubyte"), images[:, 0])
            write_idx(os.path.join(folder, f"{part}-labels-idx1-ubyte"), labels)
        self.model = self.path("teacher.pt")
        run("distillery", "train-teacher", "--dataset", "mnist", "--data-dir", self.data,
            "--architecture", "mlp:784-64-10", "--epochs", 4, "--output", self.model)

    def spec(self, alpha, name="mnist"):
        return self.write("run.yaml", f"""\
name: remote-data
dataset: {{name: {name}, shard_size: 64, augmentation: jitter:1+flip, views: 3}}
student: {{architecture: "mlp:784-16-10"}}
loss: {{alpha: {alpha}, temperature: 2}}
training: {{rounds: 2, replicas: 2, local_epochs: 4, batch_size: 20, learning_rate: 0.02}}
""")

    def done_by(self, worker_name, spec, coordinator, teacher, *arguments):
        """The run, and the log of the one worker that did it."""
        worker = self.worker(worker_name, coordinator.address, teacher.address, *arguments)
        done = self.finish(self.submit(spec, coordinator.address), coordinator.address)
        self.assertEqual(worker.terminate(), 0, worker.log())
        return done, worker.log()

    def test_the_weights_are_those_of_a_worker_with_the_files(self):
        coordinator = self.coordinator()
        teacher = self.teacher(self.model, "--data-dir", self.data)
        for alpha in (0.8, 0):
            spec = self.spec(alpha)
            with_files, log = self.done_by(f"with-{alpha}", spec, coordinator, teacher,
                                           "--data-dir", self.data)
            self.assertNotIn("came from the teacher", log)
            without, log = self.done_by(f"without-{alpha}", spec, coordinator, teacher)
            # Two rounds of two replicas and an evaluation each, but each split came once.
            self.assertEqual(re.findall(r"data set (\S+): (\d+) samples, .* came from the teacher",
                                        log),
                             [("mnist/train@64", "420"), ("mnist/test@64", "140")])
            self.assertEqual(without["state"], "RUN_STATE_SUCCEEDED")
            self.assertEqual(without["weights_sha256"], with_files["weights_sha256"], alpha)
            self.assertNotEqual(without["weights_sha256"], without["initial_weights_sha256"])
            for key in ("dataset_digest", "initial_weights_sha256"):
                self.assertEqual(without[key], with_files[key])
            for key in ("correct_count", "sample_count"):
                self.assertEqual(without["latest_evaluation"][key],
                                 with_files["latest_evaluation"][key])

    def test_data_that_nobody_has_fails_the_run_in_the_words_of_both(self):
        coordinator = self.coordinator()
        teacher = self.teacher(self.model, "--data-dir", self.data)
        self.worker("worker", coordinator.address, teacher.address)
        run_id = self.submit(self.spec(0, name="mnst"), coordinator.address)
        done = run("distillery", "watch", run_id, "--coordinator", coordinator.address,
                   check=False)
        self.assertNotEqual(done.returncode, 0)
        text = done.stdout + done.stderr
        self.assertIn('the worker: unknown data set "mnst"', text)
        self.assertIn('the teacher: unknown data set "mnst"; did you mean "mnist"?', text)
        self.assertNotIn(self.folder, text)


if __name__ == "__main__":
    unittest.main()
