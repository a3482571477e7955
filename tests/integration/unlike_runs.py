"""Sixty runs that are unlike in all that a process might keep between tasks, and share what it might
take for enough: seeds, and with them first weights, shapes and names."""

import concurrent.futures
import json
import os
import random
import sys

from services import run

try:
    import numpy
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy and python3-torch")
    sys.exit(77)

RUNS = 60
ROUNDS = 2  # of each

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

# Other samples and answers, on hard labels: the teachers are of digits. A table by class and the same
# numbers by value, tokens with a class each, and pictures of the digits' shape with a class a pixel.
OTHERS = (("rows", "mlp:3-8-2", "kd"), ("amounts", "mlp:3-8-2", "mse"),
          ("tags", "transformer:1-2-8", "kd"), ("tags", "transformer:1-2-8,causal", "kd"),
          ("tags", "gru:8", "kd"), ("marks", "unet:2-2", "kd"))


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


def draw(choose, epochs):
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
training: {{rounds: {ROUNDS}, replicas: {replicas}, local_epochs: {epochs}, batch_size: 32, {optimizer}}}
evaluation: {{every_rounds: {choose.choice((0, 1))}}}
"""


def other(dataset, student, loss, epochs):
    return f"""\
dataset: {{name: {dataset}, shard_size: 128}}
student: {{architecture: "{student}"}}
loss: {{alpha: 0, name: {loss}}}
training: {{rounds: {ROUNDS}, replicas: 2, local_epochs: {epochs}, batch_size: 32}}
evaluation: {{every_rounds: 1}}
"""


def write_students(folder):
    """scaled.pt and counted.pt: equal first weights, of which one has a parameter less."""
    torch.manual_seed(1)
    students = {"scaled.pt": Scaled(), "counted.pt": Counted()}
    students["counted.pt"].load_state_dict(students["scaled.pt"].state_dict())
    for name, module in students.items():
        torch.jit.script(module).save(os.path.join(folder, name))


def write_datasets(folder):
    """Two more data sets of the digits' shape and classes: other brightness, other labels. And those of
    OTHERS."""
    choose = numpy.random.default_rng(1)
    for name, low, high in (("bright", 120, 256), ("dark", 0, 60)):
        os.makedirs(os.path.join(folder, name))
        for split, count in (("train", 700), ("test", 200)):
            labels = choose.integers(0, 10, count, dtype=numpy.uint8)
            images = choose.integers(low, high, (count, 8, 8), dtype=numpy.uint8)
            images[numpy.arange(count), labels % 8, labels // 8] = low
            numpy.save(os.path.join(folder, name, f"{split}_images.npy"), images)
            numpy.save(os.path.join(folder, name, f"{split}_labels.npy"), labels)
    inputs = {"rows": lambda n: choose.normal(size=(n, 3)).astype(numpy.float32),
              "tags": lambda n: choose.integers(0, 7, (n, 6)),
              "marks": lambda n: choose.integers(0, 256, (n, 8, 8), dtype=numpy.uint8)}
    inputs["amounts"] = inputs["rows"]
    labels_of = {"rows": lambda x: (x[:, 0] > 0).astype(numpy.int64), "amounts": lambda x: x[:, :2] * 2,
                 "tags": lambda x: x % 3, "marks": lambda x: (x > 128).astype(numpy.int64)}
    for name, make in inputs.items():
        os.makedirs(os.path.join(folder, name))
        kind = {"tags": "tokens", "marks": "images"}.get(name, "features")
        for split, count in (("train", 400), ("test", 100)):
            numbers = make(count)
            numpy.save(os.path.join(folder, name, f"{split}_{kind}.npy"), numbers)
            numpy.save(os.path.join(folder, name, f"{split}_labels.npy"), labels_of[name](numbers))


def train_teachers(folder):
    """Paths of two unlike teachers of digits."""
    first, second = (os.path.join(folder, name) for name in ("first.pt", "second.pt"))
    run("distillery", "train-teacher", "--output", first, "--epochs", 10, "--architecture",
        "mlp:64-128-10")
    run("distillery", "train-teacher", "--output", second, "--epochs", 3, "--architecture",
        "mlp:64-32-10", "--seed", 7)
    return [first, second]


def write_specs(folder, teachers, epochs=1):
    """Paths of the RunSpecs of each teacher, half of RUNS each, of tasks of so many epochs; the last of
    each half are half of OTHERS, without a teacher."""
    choose = random.Random(20)
    drawn = []
    for half, teacher in enumerate(teachers):
        drawn.append([])
        for number in range(half * RUNS // 2, (half + 1) * RUNS // 2):
            drawn[half].append(os.path.join(folder, f"run-{number}.yaml"))
            with open(drawn[half][-1], "w") as file:
                last = number - (half + 1) * RUNS // 2 + len(OTHERS) // 2
                if last >= 0:
                    spec = other(*OTHERS[half * len(OTHERS) // 2 + last], epochs)
                else:
                    spec = f"{draw(choose, epochs)}teacher: {{model: \"{teacher}\"}}\n"
                file.write(f"name: run-{number}\n{spec}")
    return drawn


def alone(path, data):
    """What `distillery run` says of the run and its rounds, in a process of its own."""
    done = run("distillery", "run", path, "--data-dir", data, "--output", path[:-len(".yaml")],
               "--json", timeout=600)
    return json.loads(done.stdout)


def all_alone(paths, data):
    """By path; as many at once as there are cores."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(lambda path: alone(path, data), paths)))
