"""A run from its RunSpec alone, in NumPy and PyTorch: written from the documented rules, not from the
C++ code, and sharing nothing with it but the built-in digits and the teacher's file.

What is here is the part of a RunSpec that whole_run_test.py uses: the built-in digits, `mlp:` students,
loss kd, SGD or AdamW, FedAvg or Nesterov. Any other key is refused.
"""

import csv
import gzip
import io
import json
import math
import os

import numpy
import torch
import yaml

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORD = numpy.uint64(0xFFFFFFFF)


def philox(counters, key):
    """Philox4x32-10 (Salmon et al., SC 2011): blocks [n, 4] of 32 bits from counters [n, 4]."""
    counter = [counters[:, i].astype(numpy.uint64) for i in range(4)]
    key = list(key)
    for _ in range(10):
        product0 = numpy.uint64(0xD2511F53) * counter[0]
        product1 = numpy.uint64(0xCD9E8D57) * counter[2]
        shift = numpy.uint64(32)
        counter = [(product1 >> shift) ^ counter[1] ^ numpy.uint64(key[0]), product1 & WORD,
                   (product0 >> shift) ^ counter[3] ^ numpy.uint64(key[1]), product0 & WORD]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return numpy.stack(counter, 1)


def fold(state, value):
    """One Philox block: a 64-bit state and a 64-bit value to a 64-bit state."""
    block = philox(numpy.array([[state & 0xFFFFFFFF, state >> 32, 0x64697374, 0]]),
                   (value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF))[0]
    return int(block[1]) << 32 | int(block[0])


def purpose_hash(purpose):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in purpose.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


class Stream:
    """The random numbers that (seed, purpose, a, b) names."""

    def __init__(self, seed, purpose, a=0, b=0):
        key = fold(purpose_hash(purpose), seed)
        self.key = (key & 0xFFFFFFFF, key >> 32)
        prefix = fold(fold(0, a), b)
        self.prefix = (prefix & 0xFFFFFFFF, prefix >> 32)

    def words(self, count):
        """The first `count` numbers of 32 bits."""
        blocks = numpy.zeros((-(-count // 4), 4), numpy.int64)
        blocks[:, 0] = numpy.arange(len(blocks))
        blocks[:, 2:] = self.prefix
        return philox(blocks, self.key).reshape(-1)[:count]

    def permutation(self, size):
        """Fisher-Yates from the end; each place is drawn from 64 bits, low word first."""
        order = list(range(size))
        words = [int(word) for word in self.words(2 * size + 64)]
        at = 0
        for last in range(size - 1, 0, -1):
            bound = last + 1
            limit = (1 << 64) - (1 << 64) % bound
            value = limit
            while value >= limit:
                value = words[at + 1] << 32 | words[at]
                at += 2
            place = value % bound
            order[last], order[place] = order[place], order[last]
        return order

    def uniform(self, count):
        """Multiples of 2^-24 in [0, 1), float32."""
        return (self.words(count) >> numpy.uint64(8)).astype(numpy.float32) * numpy.float32(2 ** -24)


def digits(split):
    """Pixels [n, 64] 0..16 and labels [n] of "train" or "test" in the sample order."""
    path = os.path.join(SOURCE, "common/data/digits/digits.csv.gz")
    with gzip.open(path, "rt") as file:
        table = numpy.array([[int(value) for value in row] for row in csv.reader(io.StringIO(file.read()))
                             if row])
    drawn = Stream(1, "digits-split").permutation(len(table))
    given = drawn[:1400] if split == "train" else drawn[1400:]
    order = [given[i] for i in Stream(1, "sample-order").permutation(len(given))]
    return table[order, :64], table[order, 64]


def choose(seed, purpose, rows, part):
    """A part of the rows, rounded half up and at least one, by the seed."""
    count = max(1, math.floor(part * len(rows) + 0.5))
    order = Stream(seed, purpose).permutation(len(rows))
    return {rows[i] for i in order[:count]}


class Mlp:
    """mlp:SIZES with an option dropout=P, as a dictionary of parameters and a function of them."""

    def __init__(self, architecture):
        name, *options = architecture.split(",")
        self.sizes = [int(size) for size in name[len("mlp:"):].split("-")]
        self.dropout = float(dict(option.split("=") for option in options).get("dropout", 0))

    def initial(self, seed):
        parameters = {}
        for i, (inputs, outputs) in enumerate(zip(self.sizes, self.sizes[1:]), 1):
            bound = numpy.float32(1) / numpy.sqrt(numpy.float32(inputs))
            for name, shape in ((f"fc{i}.weight", (outputs, inputs)), (f"fc{i}.bias", (outputs,))):
                u = Stream(seed, "initialise " + name).uniform(int(numpy.prod(shape)))
                parameters[name] = torch.from_numpy(
                    ((numpy.float32(2) * u - numpy.float32(1)) * bound).reshape(shape))
        return parameters

    def __call__(self, parameters, x):
        for i in range(1, len(self.sizes)):
            x = torch.nn.functional.linear(x, parameters[f"fc{i}.weight"], parameters[f"fc{i}.bias"])
            if i < len(self.sizes) - 1:
                x = torch.relu(x)
                if self.dropout > 0:
                    x = torch.dropout(x, self.dropout, True)
        return x


def learning_rate(training, progress):
    """At `progress` of the run, 0 to 1."""
    rate = training["learning_rate"]
    if training.get("schedule", "constant") == "cosine":
        return rate * (1 + math.cos(math.pi * progress)) / 2
    assert training.get("schedule", "constant") == "constant"
    return rate


class Run:
    def __init__(self, spec):
        known = {"": {"name", "seed", "dataset", "teacher", "student", "loss", "training", "outer",
                      "evaluation"},
                 "dataset": {"name", "shard_size", "exclude_classes", "labels", "sample_fraction"},
                 "teacher": {"model"}, "student": {"architecture"}, "loss": {"alpha", "temperature"},
                 "training": {"rounds", "replicas", "local_epochs", "batch_size", "learning_rate",
                              "schedule", "optimizer", "momentum", "weight_decay"},
                 "outer": {"optimizer", "learning_rate", "momentum"}, "evaluation": {"every_rounds"}}
        for group, keys in known.items():
            for key in spec if group == "" else spec.get(group, {}):
                assert key in keys, f"{group}.{key} is not in this reference"
        self.seed, self.data, self.loss = spec["seed"], spec["dataset"], spec["loss"]
        self.training, self.outer = spec["training"], spec.get("outer", {})
        self.student = Mlp(spec["student"]["architecture"])
        assert self.data["name"] == "digits"
        self.pixels, self.labels = digits("train")
        self.select()
        scaled = self.pixels.astype(numpy.float64) / 16
        self.mean = numpy.float32(scaled.mean())
        self.deviation = numpy.float32(scaled.std())
        pixels = self.pixels.astype(numpy.float32) / numpy.float32(16)
        self.inputs = torch.from_numpy((pixels - self.mean) / self.deviation)
        if self.loss["alpha"] > 0:
            self.teacher_logits = self.ask(spec["teacher"]["model"], pixels)

    def select(self):
        """Who is trained on, and whose label is used."""
        excluded = self.data.get("exclude_classes", [])
        rows = [row for row, label in enumerate(self.labels) if label not in excluded]
        fraction = self.data.get("sample_fraction", 1)
        if fraction < 1:
            kept = choose(self.seed, "sample-fraction", rows, fraction)
            rows = [row for row in rows if row in kept]
        self.selected = set(rows)
        self.labelled = self.selected
        if self.data.get("labels", "all") != "all":
            self.labelled = choose(self.seed, "labelled", rows, float(self.data["labels"]))

    @staticmethod
    def ask(path, pixels):
        """The teacher's logits [rows, classes]; its inputs are normalised as its card says."""
        extra = {"distillery.json": ""}
        module = torch.jit.load(path, _extra_files=extra).eval()
        card = json.loads(extra["distillery.json"])
        assert card["output"] == "logits"
        inputs = (torch.from_numpy(pixels) - card["mean"][0]) / card["deviation"][0]
        with torch.no_grad():
            return module(inputs.view(-1, *card["input_shape"]))

    def batches(self, round_number, replica):
        """Lists of rows, in the order of training."""
        shard_size = self.data["shard_size"]
        shards = [range(first, min(first + shard_size, len(self.labels)))
                  for first in range(0, len(self.labels), shard_size)]
        used = [i for i, shard in enumerate(shards) if self.selected.intersection(shard)]
        rows = []
        epochs = self.training["local_epochs"]
        for epoch in range(round_number * epochs, (round_number + 1) * epochs):
            order = Stream(self.seed, "shard-order", epoch).permutation(len(used))
            for place in order[replica::self.training["replicas"]]:
                shard = shards[used[place]]
                inside = Stream(self.seed, "sample-order-in-shard", epoch,
                                used[place]).permutation(len(shard))
                rows += [shard[i] for i in inside if shard[i] in self.selected]
        size = self.training["batch_size"]
        if len(rows) % size == 1:
            rows.pop()
        return [rows[first:first + size] for first in range(0, len(rows), size)]

    def batch_loss(self, parameters, rows):
        """alpha T^2 KL(p_T || q_T) + (1 - alpha) CE(y, q_1), both batch means."""
        alpha, t = self.loss["alpha"], self.loss["temperature"]
        logits = self.student(parameters, self.inputs[rows])
        labels = torch.tensor([self.labels[row] if row in self.labelled else -100 for row in rows])
        loss = 0
        if alpha < 1 and (labels >= 0).any():
            loss = (1 - alpha) * torch.nn.functional.cross_entropy(logits, labels)
        if alpha > 0:
            p = torch.softmax(self.teacher_logits[rows] / t, 1)
            loss = loss + alpha * t * t * torch.nn.functional.kl_div(
                torch.log_softmax(logits / t, 1), p, reduction="batchmean")
        return loss

    def optimizer(self, parameters):
        training = self.training
        decay = training.get("weight_decay", 0)
        if training.get("optimizer", "sgd") == "adamw":
            return torch.optim.AdamW(parameters, weight_decay=decay)
        return torch.optim.SGD(parameters, lr=1, momentum=training.get("momentum", 0.9),
                               weight_decay=decay)

    def train(self, weights, round_number, replica):
        """The replica's delta, and the samples that it saw."""
        parameters = {name: value.clone().requires_grad_() for name, value in weights.items()}
        optimizer = self.optimizer(list(parameters.values()))
        batches = self.batches(round_number, replica)
        for step, rows in enumerate(batches):
            progress = (round_number + step / len(batches)) / self.training["rounds"]
            optimizer.param_groups[0]["lr"] = learning_rate(self.training, progress)
            seed = purpose_hash("dropout")
            for part in (self.seed, round_number, replica, step):
                seed = fold(seed, part)
            torch.manual_seed(seed)
            optimizer.zero_grad()
            self.batch_loss(parameters, rows).backward()
            optimizer.step()
        delta = {name: (value.detach() - weights[name]).double() for name, value in parameters.items()}
        return delta, sum(len(rows) for rows in batches)

    def weights(self):
        """W after the last round, by name."""
        torch.set_num_threads(1)
        weights = self.student.initial(self.seed)
        rate, momentum = self.outer.get("learning_rate", 1), self.outer.get("momentum", 0)
        nesterov = self.outer.get("optimizer", "sgd") == "nesterov"
        moments = {name: torch.zeros_like(value).double() for name, value in weights.items()}
        for round_number in range(self.training["rounds"]):
            replicas = [self.train(weights, round_number, replica)
                        for replica in range(self.training["replicas"])]
            total = sum(samples for _, samples in replicas)
            for name in weights:
                mean = sum(delta[name] * (samples / total) for delta, samples in replicas)
                if nesterov:
                    moments[name] = momentum * moments[name] - mean
                    step = rate * (-mean + momentum * moments[name])
                else:
                    step = -rate * mean
                weights[name] = (weights[name].double() - step).float()
        return weights


def run(spec_path):
    with open(spec_path) as file:
        return Run(yaml.safe_load(file)).weights()
