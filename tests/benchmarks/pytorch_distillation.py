#!/usr/bin/python3
"""Distils an MNIST student from a TorchScript teacher in plain PyTorch, as one writes it by hand.

The script that pytorch_script.py times. Without options it is what tutorials show: a Dataset that turns
each image into a normalised tensor, a DataLoader that shuffles, the teacher's forward in the loop. The
options are what a careful reader would speed up. JSON on standard output.

  tests/benchmarks/pytorch_distillation.py --teacher teacher.pt --data-dir data
  tests/benchmarks/pytorch_distillation.py --teacher teacher.pt --data-dir data --preload --stored-logits
"""
import argparse
import gzip
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def read_idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=header)


def read_split(folder, prefix):
    images = read_idx(f"{folder}/{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return images, read_idx(f"{folder}/{prefix}-labels-idx1-ubyte.gz", 8).astype(np.int64)


class Mnist(torch.utils.data.Dataset):
    """ToTensor and Normalize for each sample, when it is asked for."""

    def __init__(self, images, labels, mean, deviation):
        self.images, self.labels = images, labels
        self.mean, self.deviation = mean, deviation

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = torch.tensor(self.images[index]).float().div(255)
        return image.sub(self.mean).div(self.deviation), self.labels[index]


class Preloaded:
    """All samples normalised in one tensor beforehand; shuffled batches, with their rows."""

    def __init__(self, images, labels, mean, deviation, batch_size):
        self.images = torch.tensor(images).float().div_(255).sub_(mean).div_(deviation)
        self.labels = torch.tensor(labels)
        self.batch_size = batch_size

    def __len__(self):
        return math.ceil(len(self.labels) / self.batch_size)

    def __iter__(self):
        order = torch.randperm(len(self.labels))
        for rows in order.split(self.batch_size):
            yield self.images[rows], self.labels[rows], rows


def make_mlp(sizes):
    layers = [nn.Flatten()]
    for index in range(1, len(sizes)):
        layers.append(nn.Linear(sizes[index - 1], sizes[index]))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


def distillation_loss(student, teacher, labels, alpha, temperature):
    soft = F.kl_div(F.log_softmax(student / temperature, dim=1),
                    F.softmax(teacher / temperature, dim=1), reduction="batchmean")
    hard = F.cross_entropy(student, labels)
    return alpha * temperature ** 2 * soft + (1 - alpha) * hard


@torch.no_grad()
def logits_of(model, images, batch_size=256):
    return torch.cat([model(part) for part in images.split(batch_size)])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data-dir", default="data", help="folder that holds mnist/")
    parser.add_argument("--student", default="784-800-800-10")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--alpha", type=float, default=0.9)
    parser.add_argument("--temperature", type=float, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, help="torch.set_num_threads")
    parser.add_argument("--preload", action="store_true", help="no DataLoader")
    parser.add_argument("--stored-logits", action="store_true",
                        help="the teacher's logits computed once, beforehand")
    arguments = parser.parse_args()
    start = time.time()
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    card = {"distillery.json": ""}
    teacher = torch.jit.load(arguments.teacher, _extra_files=card).eval()
    card = json.loads(card["distillery.json"])
    scaling = card["mean"][0], card["deviation"][0]
    images, labels = read_split(arguments.data_dir + "/mnist", "train")
    test = Preloaded(*read_split(arguments.data_dir + "/mnist", "t10k"), *scaling, 256)
    if arguments.preload or arguments.stored_logits:
        batches = Preloaded(images, labels, *scaling, arguments.batch_size)
    else:
        batches = torch.utils.data.DataLoader(Mnist(images, labels, *scaling),
                                              batch_size=arguments.batch_size, shuffle=True)
    stored = logits_of(teacher, batches.images) if arguments.stored_logits else None

    model = make_mlp([int(size) for size in arguments.student.split("-")])
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer,
                                                          arguments.epochs * len(batches))
    epochs = []
    for _ in range(arguments.epochs):
        model.train()
        for inputs, targets, *rows in batches:
            if stored is not None:
                soft = stored[rows[0]]
            else:
                with torch.no_grad():
                    soft = teacher(inputs)
            optimizer.zero_grad()
            loss = distillation_loss(model(inputs), soft, targets, arguments.alpha,
                                     arguments.temperature)
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        wrong = int((logits_of(model, test.images).argmax(1) != test.labels).sum())
        epochs.append({"errors": wrong, "seconds": round(time.time() - start, 3)})
    print(json.dumps({"threads": torch.get_num_threads(), "epochs": epochs}))


if __name__ == "__main__":
    main()
