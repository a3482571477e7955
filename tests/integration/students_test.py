#!/usr/bin/env python3
"""Networks scripted in Python as teachers and as students: CNNs with BatchNorm and dropout."""

import json
import os
import sys
import unittest

from pictures import write_npy_dataset
from services import ServiceTestCase, run

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-torch")
    sys.exit(77)

CLASSES = 7
CARD = {"format": 1, "input_shape": [1, 12, 12], "mean": [0.3], "deviation": [0.25],
        "class_names": [str(i) for i in range(CLASSES)], "output": "logits"}


class Net(torch.nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, width, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(width)
        self.dropout = torch.nn.Dropout(0.2)
        self.head = torch.nn.Linear(width * 36, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.norm(self.convolution(x))), 2)
        return self.head(self.dropout(torch.flatten(x, 1)))


class Tiny(torch.nn.Module):
    """49 weights, too few for int8 to save anything."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(7, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(x, 1)[:, :7])


class TwoInputs(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def save(module, path):
    module.save(path, _extra_files={"distillery.json": json.dumps(CARD)})
    return path


class StudentsTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(3)
        write_npy_dataset(self.path("data/bars"), CLASSES)

    def spec(self, student, teacher="", alpha=0.0, rounds=4):
        return self.write("run.yaml", f"""\
name: bars
dataset: {{name: bars, shard_size: 60}}
student: {{{student}}}
teacher: {{model: "{teacher}"}}
loss: {{alpha: {alpha}, temperature: 3}}
training: {{rounds: {rounds}, replicas: 2, local_epochs: 2, batch_size: 20, learning_rate: 0.02}}
""")

    def train(self, spec_path, folder, check=True):
        done = run("distillery", "run", spec_path, "--data-dir", self.path("data"), "--output",
                   self.path(folder), "--json", check=check)
        return json.loads(done.stdout)["run"] if check else done

    def accuracy(self, finished):
        metrics = finished["latest_evaluation"]
        return int(metrics["correct_count"]) / int(metrics["sample_count"])

    def test_a_scripted_network_teaches_another_and_it_comes_back_to_python(self):
        # The teacher: a wide network, trained here on hard labels, then served as it comes.
        wide = save(torch.jit.script(Net(16)), self.path("wide.pt"))
        teacher = self.train(self.spec(f'model: "{wide}"'), "teacher")
        self.assertGreaterEqual(self.accuracy(teacher), 0.95)
        narrow = save(torch.jit.script(Net(4)), self.path("narrow.pt"))
        spec = self.spec(f'model: "{narrow}"', self.path("teacher/student.pt"), alpha=0.9)
        one_process = self.train(spec, "student")
        self.assertGreaterEqual(self.accuracy(one_process), 0.95)
        self.assertNotEqual(one_process["weights_sha256"], one_process["initial_weights_sha256"])

        # The coordinator keeps names of files alone; the folder is the user's own.
        with open(self.path("student/metrics.json")) as file:
            kept = json.load(file)["run"]["spec"]
        self.assertEqual(kept["student"]["model"], narrow)
        self.assertEqual(kept["teacher"]["model"], self.path("teacher/student.pt"))
        self.assertEqual(one_process["spec"]["student"]["model"], narrow)

        student = torch.jit.load(self.path("student/student.pt"))
        state = dict(student.named_buffers())
        self.assertGreater(int(state["norm.num_batches_tracked"]), 0)
        self.assertGreater(state["norm.running_var"].min().item(), 0)
        self.assertFalse(student.training)
        with torch.no_grad():
            self.assertEqual(list(student(torch.rand(5, 1, 12, 12)).shape), [5, CLASSES])
        loaded = Net(4)
        loaded.load_state_dict(student.state_dict())

        # The same with services: the worker holds the student's file, named by its digest.
        coordinator = self.coordinator()
        served = self.teacher(self.path("teacher/student.pt"), "--data-dir", self.path("data"))
        for i in range(2):
            self.worker(f"worker-{i}", coordinator.address, served.address, "--data-dir",
                        self.path("data"), "--student-dir", self.folder)
        run("distillery", "submit", spec, "--coordinator", coordinator.address, "--wait", "--output",
            self.path("submitted"))
        with open(self.path("submitted/metrics.json")) as file:
            done = json.load(file)["run"]
        self.assertEqual(done["weights_sha256"], one_process["weights_sha256"])
        self.assertEqual(done["spec"]["student"]["model"], narrow)
        for name in ("student.pt", "student.safetensors"):
            self.assertTrue(os.path.exists(self.path(f"submitted/{name}")), name)

    def test_a_worker_without_the_students_file_says_what_to_do(self):
        narrow = save(torch.jit.script(Net(4)), self.path("narrow.pt"))
        coordinator = self.coordinator()
        self.worker("worker", coordinator.address, "", "--data-dir", self.path("data"))
        spec = self.spec(f'model: "{narrow}"')
        done = run("distillery", "submit", spec, "--wait", "--coordinator", coordinator.address,
                   check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--student-dir", done.stderr)

    def test_a_frozen_module_teaches_but_does_not_learn(self):
        frozen = save(torch.jit.freeze(torch.jit.script(Net(4).eval())), self.path("frozen.pt"))
        self.teacher(frozen, "--data-dir", self.path("data"))
        done = self.train(self.spec(f'model: "{frozen}"'), "out", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("frozen", done.stderr)

    def test_an_int8_student_of_ones_own_comes_out_and_is_not_taken_in(self):
        narrow = save(torch.jit.script(Net(4)), self.path("narrow.pt"))
        finished = self.train(self.spec(f'model: "{narrow}"'), "out")
        int8 = self.path("out/student_int8.pt")
        with open(self.path("out/README.txt")) as file:
            self.assertIn(f"int8: {os.path.getsize(int8) / 1000:.1f} KB", file.read())
        figures = json.loads(run("distillery", "evaluate", int8, "--dataset", "bars", "--data-dir",
                                 self.path("data"), "--json").stdout)
        self.assertLess(abs(figures["accuracy"] - self.accuracy(finished)), 0.01)
        done = self.train(self.spec(f'model: "{int8}"'), "again", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("int8 weights", done.stderr)

    def test_a_student_without_large_weights_is_trained_all_the_same(self):
        tiny = save(torch.jit.script(Tiny()), self.path("tiny.pt"))
        self.train(self.spec(f'model: "{tiny}"', rounds=1), "out")
        self.assertFalse(os.path.exists(self.path("out/student_int8.pt")))
        with open(self.path("out/README.txt")) as file:
            self.assertIn("no student_int8.pt", file.read())

    def test_a_module_of_two_inputs_is_refused_with_the_reason(self):
        two = save(torch.jit.script(TwoInputs()), self.path("two.pt"))
        done = run("teacher_service", "--model", two, "--listen", "127.0.0.1:0", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("its forward takes 2 inputs, not one", done.stderr)


if __name__ == "__main__":
    unittest.main()
