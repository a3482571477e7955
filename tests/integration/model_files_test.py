#!/usr/bin/env python3
"""Model files that PyTorch writes: each is served as what it is, or refused at load with the reason and a
way out."""

import json
import os
import pickle
import random
import sys
import unittest
import zipfile
from typing import Dict, NamedTuple, Optional, Tuple

from services import ServiceTestCase, run

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    print(f"skipped: {error}; install python3-torch")
    sys.exit(77)

CLASSES = 10
CARD = {"format": 1, "input_shape": [1, 8, 8], "mean": [0.3], "deviation": [0.37],
        "class_names": [str(i) for i in range(CLASSES)], "output": "logits"}


class Net(torch.nn.Module):
    """A small network; what `end` makes of its logits is the answer."""

    def __init__(self, end=None):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.dropout = torch.nn.Dropout(0.3)
        self.head = torch.nn.Linear(64, CLASSES)
        self.end = end or torch.nn.Identity()

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.norm(self.convolution(x))), 2)
        return self.end(self.head(self.dropout(torch.flatten(x, 1))))


class AlwaysDrops(torch.nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.2)  # without training=self.training


class AddsNoise(torch.nn.Module):
    def forward(self, x):
        return x + torch.randn(x.shape) * 1e-3


class OverTheBatch(torch.nn.Module):
    def forward(self, x):
        return torch.log_softmax(x, 0)


class Counts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x + self.calls


class NormOfTheBatch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(CLASSES, track_running_stats=False)

    def forward(self, x):
        return self.norm(x)


class Votes(torch.nn.Module):
    """How many of 50 judges, each with a taste of its own, are for a class."""

    def __init__(self):
        super().__init__()
        self.register_buffer("tastes", torch.rand(50, CLASSES))

    def forward(self, x):
        choices = (x.unsqueeze(1) * 4 + self.tastes).argmax(2)
        return functional.one_hot(choices, self.tastes.shape[1]).sum(1).to(torch.float32)


class OneRow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(x.reshape(int(x.shape[0]), 64))  # a number, once it is traced


class Pair(NamedTuple):
    logits: torch.Tensor
    features: torch.Tensor


class NamedOutputs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(64, CLASSES)

    def forward(self, x) -> Pair:
        features = torch.flatten(x, 1)
        return Pair(self.head(features), features)


class DictOutput(NamedOutputs):
    def forward(self, x) -> Dict[str, torch.Tensor]:
        features = torch.flatten(x, 1)
        return {"features": features, "logits": self.head(features)}


class TupleOutput(NamedOutputs):
    def forward(self, x, mask: Optional[torch.Tensor] = None) -> Tuple[torch.Tensor, torch.Tensor]:
        features = torch.flatten(x, 1)
        if mask is not None:
            features = features * mask
        return features, self.head(features)


class Picks(torch.nn.Module):
    """Takes pixels by a table of indexes that bfloat16 cannot hold."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.arange(1000, 1000 + CLASSES))
        self.register_buffer("mask", torch.tensor([True, False] * (CLASSES // 2)))
        self.scale = torch.nn.Parameter(torch.ones(CLASSES))

    def forward(self, x):
        wide = torch.cat([torch.flatten(x, 1)] * 20, 1)
        return torch.index_select(wide, 1, self.table) * self.scale * self.mask


class ModelFilesTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(5)

    def save(self, module, name="model.pt", **card):
        """TorchScript with its card, of a scripted or traced module or one to be scripted."""
        if not isinstance(module, torch.jit.ScriptModule):
            module = torch.jit.script(module.eval())
        path = self.path(name)
        module.save(path, _extra_files={"distillery.json": json.dumps({**CARD, **card})})
        return path

    def refused(self, path, *reasons, arguments=()):
        """By the service, and by what else loads a model, with the same words."""
        served = run("teacher_service", "--model", path, "--listen", "127.0.0.1:0", *arguments,
                     check=False)
        self.assertEqual(served.returncode, 2, served.stderr)
        for reason in reasons:
            self.assertIn(reason, served.stderr)
        return served.stderr

    def refused_everywhere(self, path, *reasons):
        self.refused(path, *reasons)
        spec = self.write("run.yaml", "name: x\ndataset: {name: digits}\n"
                          "student: {architecture: 'mlp:64-4-10'}\n"
                          f"teacher: {{model: '{path}'}}\n"
                          "training: {rounds: 1, local_steps: 1}\n")
        picture = os.path.join(os.path.dirname(os.path.abspath(__file__)), "none.png")
        for command in (("evaluate", path), ("evaluate", self.good, "--teacher", path),
                        ("predict", "--model", path, picture), ("model", "show", path),
                        ("export", "--model", path, "--output", self.path("copy.pt")),
                        ("run", spec, "--output", self.path("out"))):
            done = run("distillery", *command, check=False)
            self.assertNotEqual(done.returncode, 0, command)
            for reason in reasons:
                self.assertIn(reason, done.stderr, command)

    def figures(self, path, *arguments):
        return json.loads(run("distillery", "evaluate", path, "--json", *arguments).stdout)

    def test_fault68_what_is_no_function_of_each_row_is_refused_by_all_that_load_it(self):
        self.good = self.save(Net(), "good.pt")
        example = torch.rand(3, 1, 8, 8)
        traced_in_training = torch.jit.trace(Net().train(), example, check_trace=False)
        for name, module, reasons in (
                ("drops", Net(AlwaysDrops()), ("random numbers", "training=self.training")),
                ("noise", Net(AddsNoise()), ("random numbers",)),
                ("traced", traced_in_training, ("random numbers", "net.eval()")),
                ("batch", Net(OverTheBatch()), ("depends on its batch", "softmax over dimension 0")),
                ("norm", Net(NormOfTheBatch()), ("BatchNorm", "running statistics")),
                ("counts", Net(Counts()), ("keeps state", "calls"))):
            path = self.save(module, name + ".pt")
            if name == "drops":
                self.refused_everywhere(path, *reasons)
            else:
                self.refused(path, *reasons)

    def test_a_module_in_training_mode_is_served_in_eval_mode(self):
        path = self.save(torch.jit.script(Net().train()))
        self.teacher(path)

    def test_fault68_a_batch_that_tracing_fixed_is_named(self):
        net = OneRow().eval()
        path = self.save(torch.jit.trace(net, torch.rand(1, 1, 8, 8)))
        self.refused(path, "answers one row, but not 4", "torch.jit.script")
        self.figures(self.save(torch.jit.script(net), "scripted.pt"))

    def test_fault68_a_card_that_lies_about_the_numbers_is_refused(self):
        for name, end, output, reasons in (
                ("softmax", torch.nn.Softmax(1), "logits", ("rows sum to 1",)),
                ("sigmoid", torch.nn.Sigmoid(), "logits", ("within 0 and 1", "sigmoid")),
                ("votes", Votes(), "logits", ("votes and percentages",)),
                ("plain", None, "probabilities", ("go down to -", "\"logits\"")),
                ("log", torch.nn.LogSoftmax(1), "probabilities", ("log-probabilities",)),
                ("not1", torch.nn.Sigmoid(), "probabilities", ("rows sum to",))):
            with self.subTest(name=name):
                self.refused(self.save(Net(end), name + ".pt", output=output), *reasons)

    def test_honest_cards_give_one_distribution_however_they_say_it(self):
        entropies = []
        net = Net().eval()
        for end, card in ((torch.nn.Identity(), {}), (torch.nn.LogSoftmax(1), {}),
                          (torch.nn.Softmax(1), {"output": "probabilities"})):
            net.end = end
            entropies.append(self.figures(self.save(net, **card))["cross_entropy"])
        for entropy in entropies[1:]:
            self.assertAlmostEqual(entropy, entropies[0], delta=1e-5)
        # The way out that is offered to votes: weights in proportion to the probabilities.
        votes = self.save(Net(Votes()), output="probabilities", trust_output=True)
        self.teacher(votes)

    def test_the_card_names_the_output_that_counts(self):
        for module, key, there in (
                (NamedOutputs(), "logits", "a named tuple of \"logits\": [4, 10]"),
                (NamedOutputs(), 0, "named tuple"),
                (DictOutput(), "logits", "a dict of \"features\": [4, 64], \"logits\": [4, 10]"),
                (TupleOutput(), 1, "a tuple of 0: [4, 64], 1: [4, 10]")):
            with self.subTest(module=type(module).__name__, key=key):
                self.refused(self.save(module), "not one tensor but", there, "output_key")
                path = self.save(module, output_key=key)
                module.eval()
                # What evaluate says of it is what PyTorch says of the part alone.
                plain = torch.nn.Sequential(torch.nn.Flatten(), module.head)
                self.assertEqual(self.figures(path)["cross_entropy"],
                                 self.figures(self.save(plain, "plain.pt"))["cross_entropy"])
                self.teacher(path)
                self.processes[-1].terminate()

    def test_halves_and_doubles_are_taken_as_they_are(self):
        net = Net().eval()
        expected = self.figures(self.save(net))["cross_entropy"]
        for change, type_name, delta in ((net.double, "float64", 1e-6),
                                         (net.bfloat16, "bfloat16", 2e-2)):
            with self.subTest(type=type_name):
                path = self.save(change(), type_name + ".pt")
                self.assertAlmostEqual(self.figures(path)["cross_entropy"], expected, delta=delta)
                process = self.teacher(path)
                process.terminate()
        path = self.save(net.half(), "half.pt")
        self.refused(path, "computes in float16", "--precision float32")
        self.teacher(path, "--precision", "float32")  # the way out

    def test_precision_leaves_indexes_and_masks_alone(self):
        path = self.save(Picks())
        rows = []
        for precision in ("float32", "bfloat16"):
            process = self.teacher(path, "--precision", precision)
            done = run("distillery", "query", "--index", 3, "--temperature", 1, "--json", "--teacher",
                       process.address)
            rows.append(json.loads(done.stdout)["soft_targets"][0]["probabilities"])
            process.terminate()
        for one, other in zip(*rows):
            self.assertAlmostEqual(one, other, delta=0.01)

    def test_fault68_a_damaged_file_is_refused(self):
        path = self.save(Net())
        with open(path, "rb") as file:
            whole = bytearray(file.read())
        generator = random.Random(4)
        for _ in range(5):
            damaged = bytearray(whole)
            for _ in range(200):
                damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            with open(path, "wb") as file:
                file.write(damaged)
            done = run("distillery", "model", "show", path, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("model.pt", done.stderr)
        # One bit of one weight, which LibTorch itself reads without a word.
        with zipfile.ZipFile(self.save(Net())) as archive:
            entry = next(info for info in archive.infolist() if info.filename.endswith("/data/0"))
            content = archive.read(entry)
        with open(path, "rb") as file:
            damaged = bytearray(file.read())
        damaged[damaged.find(content) + 3] ^= 0x40
        with open(path, "wb") as file:
            file.write(damaged)
        torch.jit.load(path)
        self.refused(path, "/data/0 is damaged", "Copy it again")
        spec = self.write("run.yaml", "name: x\ndataset: {name: digits}\n"
                          f"student: {{architecture: lenet, initial_weights: '{path}'}}\n"
                          "loss: {alpha: 0}\ntraining: {rounds: 1, local_steps: 1}\n")
        done = run("distillery", "run", spec, "--output", self.path("out"), check=False)
        self.assertIn("/data/0 is damaged", done.stderr)

    def test_fault68_files_of_other_kinds_are_named_with_a_way_out(self):
        net = Net().eval()
        torch.save(net.state_dict(), self.path("state.pt"))
        torch.save({"epoch": 3, "model": net.state_dict()}, self.path("checkpoint.pt"))
        torch.save(net, self.path("module.pt"))
        torch.save(net.state_dict(), self.path("old.pt"), _use_new_zipfile_serialization=False)
        with open(self.path("pickle.pt"), "wb") as file:
            pickle.dump({"weights": [1, 2]}, file)
        run("distillery", "export", "--model", self.save(net), "--output",
            self.path("weights.safetensors"))
        for name, *reasons in (("state.pt", "a state_dict", "load_state_dict"),
                               ("checkpoint.pt", "checkpoint", "load_state_dict"),
                               ("module.pt", "a whole module pickled", "torch.jit.script"),
                               ("old.pt", "before 1.6", "load_state_dict"),
                               ("pickle.pt", "a Python pickle"),
                               ("weights.safetensors", "a safetensors file", "load_file")):
            with self.subTest(name=name):
                self.refused(self.path(name), name + " is not a TorchScript model", *reasons)
        # The first way out, taken.
        again = Net()
        again.load_state_dict(torch.load(self.path("state.pt")))
        torch.jit.script(again.eval()).save(self.path("again.pt"))
        card = self.write("card.json", json.dumps(CARD))
        self.figures(self.path("again.pt"), "--card", card)

    def test_export_of_a_model_without_parameters_is_refused(self):
        frozen = self.save(torch.jit.freeze(torch.jit.script(Net().eval())), "frozen.pt")
        target = self.path("weights.safetensors")
        done = run("distillery", "export", "--model", frozen, "--output", target, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no parameters", done.stderr)
        self.assertFalse(os.path.exists(target))
        run("distillery", "export", "--model", frozen, "--output", self.path("copy.pt"))


if __name__ == "__main__":
    unittest.main()
