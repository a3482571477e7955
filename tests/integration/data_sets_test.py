#!/usr/bin/env python3
"""Data is never chosen, changed or lost silently, and no file of a user's holds anyone up."""

import json
import os
import sys
import unittest

import specs
from services import TeacherTestCase, add_stubs, run

try:
    import grpc
    import numpy
    from pictures import blobs, write_pgm, write_png
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio and python3-numpy")
    sys.exit(77)

SIZE = 8
CLASSES = 10


class DataSetsTest(TeacherTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        add_stubs(cls.class_folder, "tensor", "teacher_service")
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc
        cls.messages, cls.services = teacher_service_pb2, teacher_service_pb2_grpc

    def make_pictures(self, name, count=60):
        """A data set of PNG files by class; returns its folder."""
        folder = self.path("data/" + name)
        for split, seed in (("train", 1), ("test", 2)):
            images, labels = blobs(count, CLASSES, size=SIZE, seed=seed)
            for i, (image, label) in enumerate(zip(images, labels)):
                os.makedirs(f"{folder}/{split}/{label}", exist_ok=True)
                write_png(f"{folder}/{split}/{label}/{i:03}.png", image[0])
        return folder

    def inspect(self, name, *arguments, check=True):
        return run("distillery", "dataset", "inspect", name, "--data-dir", self.path("data"),
                   *arguments, check=check)

    def student_spec(self, dataset):
        return self.write("run.yaml", specs.digits(alpha=0, rounds=1, replicas=1, local_epochs=1)
                          .replace("name: digits,", f"name: {dataset},"))

    def test_what_is_left_out_is_counted_and_named(self):
        folder = self.make_pictures("pets")
        plain = json.loads(self.inspect("pets", "--json").stdout)
        self.assertEqual(plain["left_out"], [])
        for i in range(20):
            open(f"{folder}/train/1/{i}.gif", "w").close()
        for i in range(3):
            open(f"{folder}/train/2/{i}.heic", "w").close()
        os.makedirs(f"{folder}/val/1")
        open(f"{folder}/val/1/1.png", "w").close()
        done = self.inspect("pets")
        left_out = ("20 files .gif such as train/1/0.gif; 3 files .heic such as train/2/0.heic; the "
                    "folder val of 1 file: the split validation is drawn from train")
        self.assertIn("\nleft out: " + left_out + "\n", done.stdout)
        about = json.loads(self.inspect("pets", "--json").stdout)
        self.assertEqual([entry["file_count"] for entry in about["left_out"]], [20, 3, 1])
        self.assertEqual(about["digest"], plain["digest"])
        done = run("distillery", "run", self.student_spec("pets"), "--data-dir", self.path("data"),
                   "--output", self.path("out"))
        self.assertIn(f"data set pets: left out: {left_out}", done.stderr)

    def test_samples_of_test_that_train_has_and_classes_without_samples_are_counted(self):
        images, labels = blobs(40, 4, size=SIZE)
        os.makedirs(self.path("data/gaps"))
        others, _ = blobs(10, 4, size=SIZE, seed=9)
        for split, pixels in (("train", images), ("test", numpy.concatenate([images[:7], others]))):
            numpy.save(self.path(f"data/gaps/{split}_images.npy"), pixels)
            numpy.save(self.path(f"data/gaps/{split}_labels.npy"),
                       2 * numpy.resize(labels, len(pixels)) + 1)
        done = self.inspect("gaps")
        self.assertIn("7 of 17 test images are also among the training images: test 2 is train 38, "
                      "test 3 is train 20", done.stdout)
        self.assertIn("classes without training samples: 0, 2, 4, 6\n", done.stdout)
        self.assertIn("4 of 8 classes have no training samples: 0, 2, 4, 6", done.stderr)
        about = json.loads(self.inspect("gaps", "--json").stdout)
        self.assertEqual(about["test_samples_in_train"], 7)
        self.assertEqual(about["first_test_samples_in_train"][6], {"test": 16, "train": 10})
        self.assertEqual([(split["name"], split["sample_count"]) for split in about["splits"]],
                         [("train", 40), ("test", 17), ("fit", 32), ("validation", 8)])
        self.assertEqual(about["classes_without_training"], ["0", "2", "4", "6"])

    def test_a_folder_named_digits_and_two_formats_are_refused(self):
        self.make_pictures("digits")
        done = self.inspect("digits", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('"digits" names both the data set that is built in and a folder', done.stderr)
        done = run("distillery", "run", self.student_spec("digits"), "--data-dir",
                   self.path("data"), "--output", self.path("out"), check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("give the folder another name", done.stderr)
        self.make_pictures("mixed")
        images, labels = blobs(4, 2)
        for split in ("train", "test"):
            numpy.save(self.path(f"data/mixed/{split}_images.npy"), images)
            numpy.save(self.path(f"data/mixed/{split}_labels.npy"), labels)
        done = self.inspect("mixed", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("NPY files (train_images.npy) and images by class (train/)", done.stderr)

    def test_Fault67_one_bad_picture_among_many_is_named_and_skippable(self):
        folder = self.make_pictures("pets")
        whole = json.loads(self.inspect("pets", "--json").stdout)
        bad = os.fsencode(f"{folder}/train/3") + b"/\xff\x1b[2J.png"
        with open(bad, "wb") as file:
            file.write(b"GIF89a")
        os.mkfifo(f"{folder}/train/3/pipe.png")
        done = self.inspect("pets", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("2 of 122 image files cannot be taken", done.stderr)
        self.assertIn("train/3/pipe.png is a named pipe", done.stderr)
        self.assertIn("train/3/\\xff\\x1b[2J.png is neither", done.stderr)
        self.assertNotIn("\x1b", done.stderr)
        with open(f"{folder}/dataset.json", "w") as file:
            file.write('\ufeff{"skip_corrupt": true}')
        about = json.loads(self.inspect("pets", "--json").stdout)
        self.assertEqual(about["digest"], whole["digest"])
        self.assertEqual(len(about["left_out"]), 2)

    def test_Fault67_a_name_that_is_no_utf8_costs_a_run_its_task_not_the_worker(self):
        folder = self.make_pictures("pets")
        with open(os.fsencode(f"{folder}/train/3") + b"/\xff.png", "wb") as file:
            file.write(b"GIF89a")
        coordinator = self.coordinator()
        worker = self.worker("worker", coordinator.address, "", "--data-dir", self.path("data"))
        done = run("distillery", "submit", self.student_spec("pets"), "--wait", "--coordinator",
                   coordinator.address, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("train/3/\\xff.png is neither a PNG", done.stderr)
        (leases,), = self.record("SELECT count(*) FROM leases")
        self.assertLess(leases, 20)
        # The worker goes on.
        good = self.submit(self.write("good.yaml", specs.digits(alpha=0, rounds=1, replicas=1,
                                                                local_epochs=1)),
                           coordinator.address)
        self.assertEqual(self.finish(good, coordinator.address)["state"], "RUN_STATE_SUCCEEDED")
        self.assertIsNone(worker.child.poll())

    def test_Fault67_one_callers_data_set_holds_no_other_caller_up(self):
        folder = self.make_pictures("pipe")
        os.mkfifo(f"{folder}/train/3/pipe.png")
        self.make_pictures("good")
        # A gigabyte that takes no room on the disk, and a while to digest.
        os.makedirs(self.path("data/large"))
        for split in ("train", "test"):
            numpy.lib.format.open_memmap(self.path(f"data/large/{split}_images.npy"), mode="w+",
                                         dtype=numpy.uint8, shape=(16, 8192, 8192))
            numpy.save(self.path(f"data/large/{split}_labels.npy"), numpy.arange(16) % 2)
        teacher = self.teacher(self.teacher_file, "--data-dir", self.path("data"))
        channel = grpc.insecure_channel(teacher.address)
        self.addCleanup(channel.close)
        stub = self.services.TeacherServiceStub(channel)

        def selector(request, name):
            request.dataset.name, request.dataset.split = name, "train"
            request.dataset.shard_size = 8
            return request

        def describe(name):
            return stub.DescribeDataset.future(
                selector(self.messages.DescribeDatasetRequest(), name), timeout=120)

        def stream(name):
            request = selector(self.messages.StreamSoftTargetsRequest(), name)
            request.temperature = 1
            return stub.StreamSoftTargets(request, timeout=120)

        large = [describe("large") for _ in range(4)]
        streams = [stream("large") for _ in range(8)]
        with self.assertRaises(grpc.RpcError) as refused:
            describe("pipe").result()
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("train/3/pipe.png is a named pipe", refused.exception.details())
        self.assertNotIn(self.folder, refused.exception.details())
        self.assertEqual(describe("good").result().sample_count, 60)
        self.assertEqual(sum(len(list(stream("digits"))) > 0 for _ in range(3)), 3)
        self.assertFalse(any(call.done() for call in large), "the large one was too fast to tell")
        digests = {call.result().dataset_digest for call in large}
        self.assertEqual(len(digests), 1)
        for call in streams:  # other pictures than the model's
            with self.assertRaises(grpc.RpcError):
                list(call)

    def test_Fault67_no_reader_of_a_users_file_waits_at_a_pipe(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        picture = self.path("picture.pgm")
        write_pgm(picture, numpy.zeros((8, 8)))
        weights = self.write("weights.yaml", specs.digits(alpha=0).replace(
            "student: {", "student: {initial_weights: pipe.safetensors, "))
        os.mkfifo(self.path("pipe.safetensors"))
        nowhere = ("--coordinator", "127.0.0.1:1")
        for arguments in (
                ("distillery", "run", pipe, "--output", self.path("out")),
                ("distillery", "submit", pipe, *nowhere),
                ("distillery", "submit", weights, *nowhere),
                ("distillery", "evaluate", pipe),
                ("distillery", "evaluate", self.teacher_file, "--card", pipe),
                ("distillery", "model", "show", pipe),
                ("distillery", "predict", "--model", pipe, picture),
                ("distillery", "predict", "--model", self.teacher_file, pipe),
                ("distillery", "export", "--model", pipe, "--output", self.path("x.pt")),
                ("distillery", "certificates", "show", pipe),
                ("teacher_service", "--model", pipe, "--listen", "127.0.0.1:0"),
                ("coordinator", "--state-dir", self.path("state"), "--listen", "127.0.0.1:0",
                 "--tls-certificate", pipe, "--tls-key", pipe, "--tls-ca", pipe)):
            done = run(*arguments, check=False, timeout=60)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertIn("is a named pipe, not a regular file", done.stderr, arguments)


if __name__ == "__main__":
    unittest.main()
