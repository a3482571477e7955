#!/usr/bin/env python3
"""A PyTorch training loop of one's own that takes its soft targets from a teacher service.

    pip install deploy/examples/python         (the client; needs torch and numpy as well)
    teacher_service --model runs/demo/teacher.pt &
    python3 deploy/examples/train_own_loop.py --teacher 127.0.0.1:7001

Any data will do: the teacher is asked with the pictures themselves. Here it is the digits set.
"""

import argparse
import gzip
import os

import numpy
import torch
import torch.nn.functional as F
from distillery_client import Teacher

DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "common", "data",
                      "digits", "digits.csv.gz")


class WithSoftTargets(torch.utils.data.IterableDataset):
    """Batches (pixels, labels, softmax(z/T) of the teacher) of a data set, shuffled."""

    def __init__(self, pixels, labels, teacher, temperature, batch_size):
        self.pixels, self.labels, self.batch_size = pixels, labels, batch_size
        # A teacher is frozen: asked once, its answers serve every epoch.
        self.soft = torch.cat([torch.from_numpy(teacher.compute(part, temperature).copy())
                               for part in pixels.split(512)])

    def __iter__(self):
        for rows in torch.randperm(len(self.pixels)).split(self.batch_size):
            yield self.pixels[rows], self.labels[rows], self.soft[rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="127.0.0.1:7001")
    parser.add_argument("--temperature", type=float, default=4)
    parser.add_argument("--alpha", type=float, default=0.9, help="weight of the soft term")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    torch.manual_seed(1)

    with gzip.open(DIGITS) as file:
        table = numpy.loadtxt(file, delimiter=",", dtype=numpy.float32)
    pixels = torch.from_numpy(table[:, :64] / 16).view(-1, 1, 8, 8)
    labels = torch.from_numpy(table[:, 64]).long()
    train, test = slice(0, 1400), slice(1400, None)

    teacher = Teacher(options.teacher)
    data = WithSoftTargets(pixels[train], labels[train], teacher, options.temperature, 32)
    student = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(),
                                  torch.nn.Linear(16, 10))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.02, momentum=0.9)
    alpha, temperature = options.alpha, options.temperature
    for _ in range(options.epochs):
        for images, classes, soft in torch.utils.data.DataLoader(data, batch_size=None):
            logits = student(images)
            loss = (alpha * temperature ** 2
                    * F.kl_div(F.log_softmax(logits / temperature, 1), soft,
                               reduction="batchmean")
                    + (1 - alpha) * F.cross_entropy(logits, classes))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (student(pixels[test]).argmax(1) == labels[test]).float().mean().item()
    print(f"{teacher.about().model_name} taught a student of "
          f"{sum(p.numel() for p in student.parameters())} parameters: "
          f"accuracy {100 * accuracy:.2f} % on {len(labels[test])} images")


if __name__ == "__main__":
    main()
