#!/usr/bin/env python3
"""Sixty unlike runs in random order through one worker, one teacher and one coordinator: each has the
SHA-256 that `distillery run` gives it in a process of its own. What a process keeps between tasks must
be known by all that it depends on, so seeds, and with them first weights, are shared on purpose."""

import concurrent.futures
import json
import os
import random
import signal
import sys
import unittest

import specs
from services import TeacherTestCase, add_stubs, run

try:
    import grpc
    import numpy
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio and python3-torch")
    sys.exit(77)

RUNS = 60

DATASETS = ("digits", "bright", "dark")
SPLITS = ("train", "fit")
SELECTIONS = ("", "labels: 0.5", "exclude_classes: [3]", "exclude_classes: [7, 8]",
              "sample_fraction: 0.4", "label_noise: 0.3", "labels: none", "augmentation: jitter:1",
              "augmentation: jitter:1, views: 2")
STUDENTS = ("architecture: \"mlp:64-32-10\"", "architecture: \"mlp:64-32-10,dropout=0.3\"",
            "architecture: \"mlp:64-16-10\"", "architecture: resnet8",
            "model: scaled.pt", "model: counted.pt")
LOSSES = ("alpha: 0", "alpha: 0.9, temperature: 4", "alpha: 0.9, temperature: 1",
          "alpha: 0.5, temperature: 4, name: jsd",
          "alpha: 0.9, temperature: 4, temperature_schedule: linear, temperature_end: 1")
SOFT_TARGETS = ("float32", "float32", "float16", "int8", "top_k, top_k: 3")
OPTIMIZERS = ("", "momentum: 0", "optimizer: adamw, learning_rate: 0.01", "nesterov: true",
              "optimizer_state: average", "delta_encoding: float16", "delta_encoding: int8",
              "broadcast_encoding: float16", "max_gradient_norm: 1")


class Scaled(torch.nn.Module):
    """Its `scale` is a parameter, which is trained."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, 10)
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(x, 1)) * self.scale


class Counted(torch.nn.Module):
    """The same tensors by name, shape and value; its `scale` is a buffer, which is not."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, 10)
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(x, 1)) * self.scale


def draw(choose):
    """A spec that may be submitted, without its name and teacher."""
    while True:
        loss = choose.choice(LOSSES)
        selection = choose.choice(SELECTIONS)
        soft = choose.choice(SOFT_TARGETS)
        optimizer = choose.choice(OPTIMIZERS)
        hard = loss == LOSSES[0]
        # No labels need a teacher, and soft targets of the largest classes alone one temperature.
        if hard and (selection == "labels: none" or soft != "float32"):
            continue
        if "top_k" in soft and "temperature_schedule" in loss:
            continue
        dataset = choose.choice(DATASETS)
        replicas = choose.choice((1, 2))
        return f"""\
seed: {choose.choice((1, 1, 1, 2))}
dataset: {{name: {dataset}, shard_size: 128, train_split: {choose.choice(SPLITS)}, {selection}}}
student: {{{choose.choice(STUDENTS)}}}
loss: {{{loss}}}
soft_targets: {{encoding: {soft}}}
training: {{rounds: 2, replicas: {replicas}, local_epochs: 1, batch_size: 32, {optimizer}}}
evaluation: {{every_rounds: {choose.choice((0, 1))}}}
"""


class UnlikeRunsTest(TeacherTestCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(1)
        students = {"scaled.pt": Scaled(), "counted.pt": Counted()}
        students["counted.pt"].load_state_dict(students["scaled.pt"].state_dict())
        for name, module in students.items():
            torch.jit.script(module).save(self.path(name))
        # Two more data sets of the digits' shape and classes: other brightness, other labels.
        choose = numpy.random.default_rng(1)
        for name, low, high in (("bright", 120, 256), ("dark", 0, 60)):
            os.makedirs(self.path(f"data/{name}"))
            for split, count in (("train", 700), ("test", 200)):
                labels = choose.integers(0, 10, count, dtype=numpy.uint8)
                images = choose.integers(low, high, (count, 8, 8), dtype=numpy.uint8)
                images[numpy.arange(count), labels % 8, labels // 8] = low
                numpy.save(self.path(f"data/{name}/{split}_images.npy"), images)
                numpy.save(self.path(f"data/{name}/{split}_labels.npy"), labels)
        self.teachers = [self.teacher_file, self.path("second.pt")]
        run("distillery", "train-teacher", "--output", self.teachers[1], "--epochs", 3,
            "--architecture", "mlp:64-32-10", "--seed", 7)

    def alone(self, path):
        done = run("distillery", "run", path, "--data-dir", self.path("data"), "--output",
                   path[:-len(".yaml")], "--json", timeout=600)
        return json.loads(done.stdout)["run"]

    def test_Fault51_sixty_unlike_runs_on_one_worker_have_the_bits_of_each_alone(self):
        choose = random.Random(20)
        drawn = {}
        for number in range(RUNS):
            teacher = self.teachers[number * 2 // RUNS]
            path = self.write(f"run-{number}.yaml", f"name: run-{number}\n{draw(choose)}"
                              f"teacher: {{model: \"{teacher}\"}}\n")
            drawn.setdefault(teacher, []).append(path)
        paths = [path for runs in drawn.values() for path in runs]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            expected = dict(zip(paths, pool.map(self.alone, paths)))
        # Many start from the same weights without being the same run.
        self.assertLess(len({done["initial_weights_sha256"] for done in expected.values()}), RUNS // 2)
        self.assertGreater(len({done["weights_sha256"] for done in expected.values()}), RUNS * 9 // 10)

        served = self.path("served.pt")
        os.link(self.teachers[0], served)
        coordinator = self.coordinator("--lease-seconds", 300)
        teacher = self.teacher(served, "--data-dir", self.path("data"), "--cache-dir",
                               self.path("cache"), "--allow-reload", "loopback")
        worker = self.worker("worker", coordinator.address, teacher.address, "--data-dir",
                             self.path("data"), "--student-dir", self.folder)
        unlike = []
        for number, (model, runs) in enumerate(drawn.items()):
            if number > 0:
                self.replace(served, model, teacher.address)
            choose.shuffle(runs)
            # It stands still until all are there: then each of its tasks is another run's.
            worker.signal(signal.SIGSTOP)
            run_ids = [(path, self.submit(path, coordinator.address)) for path in runs]
            worker.signal(signal.SIGCONT)
            for path, run_id in run_ids:
                done = self.finish(run_id, coordinator.address)
                for what in ("initial_weights_sha256", "weights_sha256"):
                    if done[what] != expected[path][what]:
                        with open(path) as file:
                            unlike.append(f"{what} is {done[what]}, alone "
                                          f"{expected[path][what]}:\n{file.read()}")
                self.assertFalse(done["inexact"])
        self.assertEqual(unlike, [], f"{len(unlike)} differ:\n" + "\n".join(unlike))

    def replace(self, served, model, address):
        """Gives the teacher another file, and lets it load that."""
        os.link(model, served + ".new")
        os.replace(served + ".new", served)
        stubs = self.path("stubs")
        os.makedirs(stubs)
        add_stubs(stubs, "tensor", "teacher_service")
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc
        with grpc.insecure_channel(address) as channel:
            stub = teacher_service_pb2_grpc.TeacherServiceStub(channel)
            before = stub.GetTeacher(teacher_service_pb2.GetTeacherRequest()).teacher
            after = stub.ReloadModel(
                teacher_service_pb2.ReloadModelRequest(request_id="second")).teacher
        self.assertNotEqual(after.teacher_digest, before.teacher_digest)


if __name__ == "__main__":
    unittest.main()
