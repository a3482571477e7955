#!/usr/bin/env python3
"""Students of one's own whose layers are frozen, tied, or of a mode that is a constant: what the file
says is done, or refused before anything is trained."""

import json
import sys
import unittest
from typing import Any

import numpy
from pictures import write_npy_dataset
from services import ServiceTestCase, run

try:
    import torch
except ImportError as error:
    print(f"skipped: {error}; install python3-torch")
    sys.exit(77)

CLASSES = 7
# Refused before it is asked.
NOBODY = "127.0.0.1:9"


class Net(torch.nn.Module):
    def __init__(self, norm=True, rate=0.2):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4) if norm else torch.nn.Identity()
        self.dropout = torch.nn.Dropout(rate)
        self.head = torch.nn.Linear(4 * 36, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.norm(self.convolution(x))), 2)
        return self.head(self.dropout(torch.flatten(x, 1)))


class Mirrored(torch.nn.Module):
    """Its second layer has the first one's weight."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(144, 144, bias=False)
        self.second = torch.nn.Linear(144, 144)
        self.second.weight = self.first.weight
        self.head = torch.nn.Linear(144, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(torch.flatten(x, 1)))
        return self.head(torch.relu(self.second(x)))


class Auxiliary(torch.nn.Module):
    """As GoogLeNet: a second output in training."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(144, CLASSES)
        self.extra = torch.nn.Linear(144, CLASSES)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.flatten(x, 1)
        if self.training:
            return self.head(x), self.extra(x)
        return self.head(x)


class AlwaysOn(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.norm(self.convolution(x))), 2)
        return self.head(torch.nn.functional.dropout(torch.flatten(x, 1), 0.3))


def read_safetensors(path):
    """The F32 and I64 tensors of a file, by name."""
    with open(path, "rb") as file:
        content = file.read()
    size = int.from_bytes(content[:8], "little")
    tensors = {}
    for name, about in json.loads(content[8:8 + size]).items():
        first, last = about["data_offsets"]
        kind = {"F32": numpy.float32, "I64": numpy.int64}[about["dtype"]]
        tensors[name] = numpy.frombuffer(content[8 + size + first:8 + size + last], kind)
    return tensors


class StudentLayersTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(3)
        write_npy_dataset(self.path("data/bars"), CLASSES)

    def spec(self, model, **training):
        more = "".join(f", {key}: {value}" for key, value in training.items())
        return self.write("run.yaml", f"""\
name: bars
dataset: {{name: bars, shard_size: 60}}
student: {{model: "{model}"}}
loss: {{alpha: 0}}
training: {{rounds: 2, replicas: 2, local_epochs: 1, batch_size: 20, learning_rate: 0.05{more}}}
outer: {{optimizer: nesterov, learning_rate: 0.7, momentum: 0.5}}
""")

    def save(self, module, name="net.pt"):
        module.save(self.path(name))
        return self.path(name)

    def train(self, model, folder, **training):
        """The finished run, and its weights."""
        done = run("distillery", "run", self.spec(model, **training), "--data-dir",
                   self.path("data"), "--output", self.path(folder), "--json")
        return json.loads(done.stdout)["run"], read_safetensors(
            self.path(folder + "/student.safetensors"))

    def refused(self, model, *parts):
        """By `run`, and by `submit` although the data are not there."""
        spec = self.spec(model)
        for command in (("run", spec, "--data-dir", self.path("data"), "--output",
                         self.path("refused")),
                        ("submit", spec, "--coordinator", NOBODY)):
            done = run("distillery", *command, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for part in ("student net.pt", *parts):
                self.assertIn(part, done.stderr)

    def traced(self, module, training):
        module.train(training)
        return torch.jit.trace(module, torch.rand(4, 1, 12, 12), check_trace=False)

    def test_a_constant_mode_is_refused_by_name_with_a_way_out(self):
        self.refused(self.save(self.traced(Net(), False)), 'batch_norm "norm"',
                     "does not learn its statistics in training", "torch.jit.script",
                     "1 more such layer")
        self.refused(self.save(self.traced(Net(norm=False), False)),
                     'dropout "dropout" (p = 0.2) is off in training too', "torch.jit.script")
        self.refused(self.save(self.traced(Net(norm=False), True)),
                     'dropout "dropout" (p = 0.2) stays on in evaluation')
        self.refused(self.save(self.traced(Net(rate=0.0), True)),
                     'batch_norm "norm" uses each batch\'s own statistics in evaluation')
        self.refused(self.save(torch.jit.script(AlwaysOn())), "(p = 0.3) stays on in evaluation",
                     "training=self.training")

    def test_an_output_that_changes_its_form_in_training_is_refused(self):
        for module in (self.traced(Auxiliary(), True), torch.jit.script(Auxiliary())):
            self.refused(self.save(module), "in training its forward returns", "Tuple")

    def test_a_module_whose_parameters_are_all_frozen_is_refused(self):
        self.refused(self.save(torch.jit.script(Net().requires_grad_(False))),
                     "nothing to train", "requires_grad_(True)")

    def test_frozen_layers_stay_bit_for_bit_where_they_are(self):
        net = Net()
        net.convolution.requires_grad_(False)
        net.norm.requires_grad_(False)
        net.train()
        net.norm.eval()
        model = self.save(torch.jit.script(net))
        before = {name: value.detach().numpy().ravel().copy()
                  for name, value in net.state_dict().items()}
        for encoding in ("float32", "float16", "int8"):
            finished, after = self.train(model, encoding, delta_encoding=encoding,
                                         weight_decay=0.1, momentum=0.9, max_weight_norm=0.1)
            self.assertNotEqual(finished["weights_sha256"], finished["initial_weights_sha256"])
            self.assertEqual(sorted(after), sorted(before))
            for name, value in before.items():
                same = value.tobytes() == after[name].tobytes()
                # Also the statistics of a BatchNorm that the file has in eval mode.
                self.assertEqual(same, not name.startswith("head"), f"{encoding} {name}")
            shown = json.loads(run("distillery", "model", "show",
                                   self.path(encoding + "/student.pt"), "--json").stdout)
            total = sum(parameter.numel() for parameter in net.parameters())
            frozen = sum(parameter.numel() for parameter in net.parameters()
                         if not parameter.requires_grad)
            self.assertEqual(shown["parameter_count"], total)
            self.assertEqual(shown["frozen_parameter_count"], frozen)
            self.assertIn(f"{total} parameters ({frozen} of them frozen)",
                          run("distillery", "model", "show",
                              self.path(encoding + "/student.pt")).stdout)
        # What comes out still says so, and is trained in the same way.
        flags = {name: parameter.requires_grad for name, parameter in
                 torch.jit.load(self.path("int8/student.pt")).named_parameters()}
        self.assertEqual(flags, {name: name.startswith("head") for name in flags})
        _, again = self.train(self.path("int8/student.pt"), "again", weight_decay=0.1)
        for name in before:
            if not name.startswith("head"):
                self.assertEqual(before[name].tobytes(), again[name].tobytes(), name)

    def test_a_traced_batch_norm_stands_still_where_its_parameters_are_frozen(self):
        net = Net(rate=0.0)
        net.norm.requires_grad_(False)
        model = self.save(self.traced(net, False))
        _, after = self.train(model, "out")
        for name, value in net.state_dict().items():
            same = value.detach().numpy().tobytes() == after[name].tobytes()
            self.assertEqual(same, name.startswith("norm"), name)

    def test_tied_weights_stay_tied_however_deltas_travel(self):
        net = Mirrored()
        model = self.save(torch.jit.script(net))
        counted = sum(parameter.numel() for parameter in net.parameters())
        for encoding in ("float32", "float16", "bfloat16", "int8"):
            for state in ("reset", "average"):
                folder = f"{encoding}-{state}"
                _, after = self.train(model, folder, delta_encoding=encoding, momentum=0.9,
                                      broadcast_encoding="float16", optimizer_state=state)
                self.assertEqual(after["first.weight"].tobytes(), after["second.weight"].tobytes(),
                                 folder)
                self.assertNotEqual(after["first.weight"].tobytes(),
                                    net.first.weight.detach().numpy().tobytes())
        student = torch.jit.load(self.path("int8-reset/student.pt"))
        self.assertEqual(student.first.weight.data_ptr(), student.second.weight.data_ptr())
        figures = json.loads(run("distillery", "evaluate", self.path("int8-reset/student.pt"),
                                 "--dataset", "bars", "--data-dir", self.path("data"),
                                 "--json").stdout)
        self.assertEqual(figures["parameter_count"], counted)
        self.assertGreater(figures["accuracy"], 0.5)
        shown = run("distillery", "model", "show", self.path("int8-reset/student.pt")).stdout
        self.assertIn("second.weight (is first.weight)", shown)

    def test_tied_weights_follow_pytorchs_own_training(self):
        # One replica, one epoch, one batch that is the whole split: the order does not count.
        net = Mirrored()
        model = self.save(torch.jit.script(net))
        spec = self.write("one.yaml", f"""\
name: one
dataset: {{name: bars, shard_size: 420}}
student: {{model: "{model}"}}
loss: {{alpha: 0}}
training: {{rounds: 1, replicas: 1, local_epochs: 1, batch_size: 420, learning_rate: 0.1,
           weight_decay: 0.01}}
""")
        run("distillery", "run", spec, "--data-dir", self.path("data"), "--output",
            self.path("one"))
        after = read_safetensors(self.path("one/student.safetensors"))
        extra = {"distillery.json": ""}
        torch.jit.load(self.path("one/student.pt"), _extra_files=extra)
        card = json.loads(extra["distillery.json"])
        images = numpy.load(self.path("data/bars/train_images.npy")).astype(numpy.float32) / 255
        labels = torch.from_numpy(numpy.load(self.path("data/bars/train_labels.npy")))
        inputs = (torch.from_numpy(images) - card["mean"][0]) / card["deviation"][0]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.01)
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        for name, value in net.state_dict().items():
            numpy.testing.assert_allclose(after[name], value.numpy().ravel(), atol=2e-6,
                                          err_msg=name)

    def test_initial_weights_that_tear_tied_weights_apart_are_refused(self):
        model = self.save(torch.jit.script(Mirrored()))
        torn = Mirrored()
        torn.second.weight = torch.nn.Parameter(torch.zeros(144, 144))
        initial = self.save(torch.jit.script(torn), "torn.pt")
        spec = self.spec(model)
        with open(spec) as file:
            text = file.read().replace("student: {", f'student: {{initial_weights: "{initial}", ')
        done = run("distillery", "run", self.write("torn.yaml", text), "--data-dir",
                   self.path("data"), "--output", self.path("torn"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('ties "second.weight" to "first.weight"', done.stderr)


if __name__ == "__main__":
    unittest.main()
