#!/usr/bin/env python3
"""Archives as a data set: a folder of pictures, read anew and as it was kept, and archives of it that
Python's tarfile made in another order give one student, in one process and on services; arrays in
archives train as well; and a class may be left out by its name."""

import io
import json
import os
import random
import sys
import tarfile
import unittest

from services import ServiceTestCase, run

try:
    import numpy
    from pictures import blobs, write_png
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy")
    sys.exit(77)

CLASSES = ("ant", "bee", "cat", "dog")

SPEC = """\
name: archives
dataset: {{name: bars, shard_size: 64{more}}}
teacher: {{model: "{teacher}"}}
student: {{architecture: "mlp:{student}"}}
loss: {{alpha: 0.9, temperature: 2}}
training: {{rounds: 2, replicas: 2, local_epochs: 2, batch_size: 20, learning_rate: 0.02}}
"""


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


class ArchivesTest(ServiceTestCase):
    def make_folder(self):
        """1,200 pictures: enough that the decoded ones are kept."""
        for split, count, seed in (("train", 1000, 1), ("test", 200, 2)):
            images, labels = blobs(count, len(CLASSES), size=6, seed=seed)
            for i, (image, label) in enumerate(zip(images, labels)):
                folder = self.path(f"folder/bars/{split}/{CLASSES[label]}")
                os.makedirs(folder, exist_ok=True)
                write_png(f"{folder}/{i:04}.png", image[0])

    def pack(self):
        """The same pictures in archives, whose members are in no order."""
        os.makedirs(self.path("archives/bars"))
        for split, parts in (("train", 3), ("test", 1)):
            names = [f"{label}/{name}" for label in CLASSES
                     for name in os.listdir(self.path(f"folder/bars/{split}/{label}"))]
            random.Random(1).shuffle(names)
            for part in range(parts):
                with tarfile.open(self.path(f"archives/bars/{split}-{part:06}.tar"), "w") as archive:
                    for name in names[part::parts]:
                        archive.add(self.path(f"folder/bars/{split}/{name}"), f"./{name}")
                        add(archive, f"./{name[:-4]}.txt", b"a caption")

    def train_teacher(self, data, architecture):
        file = self.path(f"{data}.pt")
        run("distillery", "train-teacher", "--dataset", "bars", "--data-dir", self.path(data),
            "--architecture", f"mlp:{architecture}", "--epochs", 3, "--output", file)
        return file

    def digest(self, data):
        told = run("distillery", "dataset", "inspect", "bars", "--data-dir", self.path(data), "--json")
        return json.loads(told.stdout)["digest"]

    def run_here(self, data, spec, output):
        told = run("distillery", "run", spec, "--data-dir", self.path(data), "--output",
                   self.path(output), "--json")
        return json.loads(told.stdout)["run"]

    def test_a_folder_and_its_archives_give_one_student(self):
        self.make_folder()
        self.pack()
        teacher = self.train_teacher("folder", "36-24-4")
        self.assertTrue(os.path.exists(self.path("folder/bars/.distillery/pictures")))
        self.assertEqual(self.digest("folder"), self.digest("archives"))
        spec = self.write("run.yaml", SPEC.format(teacher=teacher, student="36-12-4",
                                                  more=", exclude_classes: [cat]"))
        kept = self.run_here("folder", spec, "kept")
        self.assertEqual(kept["spec"]["dataset"]["exclude_classes"], ["2"])
        os.remove(self.path("folder/bars/.distillery/pictures"))
        for data, output in (("folder", "anew"), ("archives", "packed")):
            done = self.run_here(data, spec, output)
            self.assertEqual(done["weights_sha256"], kept["weights_sha256"], data)
            self.assertEqual(done["dataset_digest"], kept["dataset_digest"], data)
        data = ("--data-dir", self.path("archives"))
        coordinator = self.coordinator()
        service = self.teacher(teacher, *data, "--cache-dir", self.path("cache"))
        run_id = run("distillery", "submit", spec, "--teacher", service.address, "--coordinator",
                     coordinator.address).stdout.strip()
        without = self.worker("without", coordinator.address, service.address)
        done = self.finish(run_id, coordinator.address)
        self.assertIn("came from the teacher", without.log())
        self.assertEqual(done["weights_sha256"], kept["weights_sha256"])

    def test_a_class_that_nobody_can_look_up_is_refused(self):
        self.make_folder()
        teacher = self.train_teacher("folder", "36-24-4")
        spec = self.write("run.yaml", SPEC.format(teacher=teacher, student="36-12-4",
                                                  more=", exclude_classes: [cta]"))
        done = run("distillery", "run", spec, "--data-dir", self.path("folder"), "--output",
                   self.path("out"), check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("dataset.exclude_classes", done.stderr)
        self.assertIn("cat", done.stderr)
        coordinator = self.coordinator()
        done = run("distillery", "submit", spec, "--coordinator", coordinator.address, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--data-dir", done.stderr)

    def test_arrays_in_archives_train(self):
        os.makedirs(self.path("arrays/bars"))
        noise = numpy.random.default_rng(1)
        for split, count in (("train", 300), ("test", 80)):
            with tarfile.open(self.path(f"arrays/bars/{split}.tar"), "w") as archive:
                for i in range(count):
                    row = noise.normal(0, 0.3, 4)
                    row[i % 4] += 1
                    buffer = io.BytesIO()
                    numpy.save(buffer, row.astype(numpy.float32))
                    add(archive, f"{i:06}.cls", str(i % 4).encode())
                    add(archive, f"{i:06}.npy", buffer.getvalue())
        teacher = self.train_teacher("arrays", "4-16-4")
        spec = self.write("run.yaml", SPEC.format(teacher=teacher, student="4-8-4", more=""))
        done = self.run_here("arrays", spec, "out")
        evaluation = done["latest_evaluation"]
        self.assertGreater(int(evaluation["correct_count"]), int(evaluation["sample_count"]) // 2)


if __name__ == "__main__":
    unittest.main()
