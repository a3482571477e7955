#!/usr/bin/env python3
"""On a GPU: equal weights whoever trains, and AOTInductor packages beside TorchScript.

Packages are compiled by the PyTorch of $DISTILLERY_PYTORCH (default: the python3 of the PATH)."""

import json
import os
import shutil
import subprocess
import sys
import unittest

from services import ServiceTestCase, program, run, wait_for

PYTHON = os.environ.get("DISTILLERY_PYTORCH", "python3")
CLASSES = [str(digit) for digit in range(10)]
CARD = {"format": 1, "input_shape": [1, 8, 8], "output": "logits", "mean": [0.3],
        "deviation": [0.4], "class_names": CLASSES}
COMPILE = """
import sys
import torch
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 128), torch.nn.ReLU(),
                          torch.nn.Linear(128, 10)).eval()
torch.jit.trace(net, torch.rand(2, 1, 8, 8)).save(sys.argv[1])
net = net.cuda()
rows = torch.export.Dim("rows", min=1, max=4096)
with torch.no_grad():
    program = torch.export.export(net, (torch.rand(8, 1, 8, 8, device="cuda"),),
                                  dynamic_shapes=({0: rows},))
    torch._inductor.aoti_compile_and_package(program, package_path=sys.argv[2])
"""


def has_gpu():
    try:
        return "GPU" in subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True,
                                       check=False).stdout
    except FileNotFoundError:
        return False


def built_for_it():
    return "libtorch_cuda" in subprocess.run(["ldd", program("teacher_service")],
                                             capture_output=True, text=True, check=False).stdout


class GpuTest(ServiceTestCase):
    def test_one_worker_and_three_give_the_same_weights(self):
        digests = []
        for workers in (1, 3):
            folder = self.path(f"demo{workers}")
            run("distillery", "demo", "--device", "cuda", "--workers", workers, "--output", folder,
                timeout=600)
            with open(os.path.join(folder, "results.json")) as file:
                digests.append({student["name"]: student["weights_sha256"]
                                for student in json.load(file)["runs"]})
        self.assertGreaterEqual(len(digests[0]), 2)
        self.assertEqual(digests[0], digests[1])

    def test_an_aotinductor_package_answers_as_torchscript_does(self):
        card = self.write("card.json", json.dumps(CARD))
        files = [self.path("net.pt"), self.path("net.pt2")]
        made = subprocess.run([PYTHON, "-c", COMPILE, *files], capture_output=True, text=True,
                              check=False, timeout=600)
        if made.returncode != 0:
            self.skipTest(f"{PYTHON} makes no AOTInductor package: {made.stderr[-300:]}")
        answers = []
        for file in files:
            try:
                teacher = self.listen(os.path.basename(file), "teacher_service", "--model", file,
                                      "--card", card, "--device", "cuda")
            except AssertionError as error:
                if "DISTILLERY_AOTI" not in str(error):
                    raise
                self.skipTest("built without -DDISTILLERY_AOTI=ON")

            def asked(address=teacher.address):
                done = run("distillery", "query", "--index", 7, "--temperature", 1, "--json",
                           "--teacher", address, check=False)
                return done.stdout if done.returncode == 0 else None
            answers.append(json.loads(wait_for("an answer", asked))["soft_targets"])
        for one, other in zip(answers[0][0]["probabilities"], answers[1][0]["probabilities"]):
            self.assertAlmostEqual(one, other, delta=1e-5)


if __name__ == "__main__":
    if not has_gpu():
        print("skipped: nvidia-smi lists no GPU")
        sys.exit(77)
    if not built_for_it():
        print("skipped: no GPU for this build, whose LibTorch is without CUDA")
        sys.exit(77)
    if not shutil.which(PYTHON):
        PYTHON = sys.executable
    unittest.main()
