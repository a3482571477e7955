#!/usr/bin/env python3
"""Two rounds of two replicas come out as an independent program says (reference_run.py)."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))

from services import TeacherTestCase, run

try:
    import torch
    import yaml  # noqa: F401, for reference_run
    import reference_run
except ImportError as error:
    print(f"skipped: {error}; install python3-torch and python3-yaml")
    sys.exit(77)

SPEC = """\
name: whole
seed: {seed}
dataset: {{name: digits, shard_size: {shard_size}{data}}}
teacher: {{model: "{teacher}"}}
student: {{architecture: "{architecture}"}}
loss: {{alpha: {alpha}, temperature: {temperature}}}
training: {{rounds: 2, replicas: 2, local_epochs: 2, batch_size: {batch_size}{training}}}
outer: {{{outer}}}
"""
DEFAULTS = dict(seed=1, shard_size=128, data="", architecture="mlp:64-32-10", alpha=0.9,
                temperature=4, batch_size=32, training=", learning_rate: 0.05",
                outer="optimizer: sgd, learning_rate: 1")
CASES = {
    "plain": {},
    "hard labels": dict(alpha=0, seed=5, batch_size=37),
    "soft labels alone": dict(alpha=1, temperature=2.5, shard_size=100),
    "dropout, cosine, weight decay, Nesterov": dict(
        architecture="mlp:64-48-24-10,dropout=0.2",
        training=", learning_rate: 0.03, schedule: cosine, momentum: 0.8, weight_decay: 0.001",
        outer="optimizer: nesterov, learning_rate: 0.7, momentum: 0.5"),
    "AdamW, a part of the data, a part of the labels": dict(
        seed=3, data=", exclude_classes: [3], sample_fraction: 0.6, labels: 0.4",
        training=", learning_rate: 0.002, optimizer: adamw, weight_decay: 0.01"),
}


class WholeRunTest(TeacherTestCase):
    def test_weights_are_those_of_the_reference(self):
        for number, (name, options) in enumerate(CASES.items()):
            spec = self.write(f"{number}.yaml",
                              SPEC.format(**{**DEFAULTS, **options}, teacher=self.teacher_file))
            run("distillery", "run", spec, "--output", self.path(str(number)))
            module = torch.jit.load(self.path(f"{number}/student.pt"))
            ours = dict(module.named_parameters())
            expected = reference_run.run(spec)
            with self.subTest(name):
                self.assertEqual(set(ours), set(expected))
                # Trained at all: further from the start than from the reference by far.
                start = reference_run.Mlp({**DEFAULTS, **options}["architecture"]).initial(
                    {**DEFAULTS, **options}["seed"])
                moved = max((ours[key] - start[key]).abs().max().item() for key in ours)
                error = max((ours[key] - expected[key]).abs().max().item() for key in ours)
                self.assertGreater(moved, 1e-2)
                self.assertLess(error, 1e-6, f"{name}: moved by {moved}")


if __name__ == "__main__":
    unittest.main()
