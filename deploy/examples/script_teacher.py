#!/usr/bin/env python3
"""Any PyTorch classifier becomes a teacher in five lines: script it, and give it a model card.

    python3 deploy/examples/script_teacher.py teacher.pt
    teacher_service --model teacher.pt
"""

import json
import sys

import torch

# Stands for torchvision.models.resnet18(weights="DEFAULT") and its kin: any module that takes images
# [n, channels, height, width] and gives logits [n, classes].
net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16),
                          torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(),
                          torch.nn.Dropout(0.2), torch.nn.Linear(256, 10))

card = {"format": 1, "input_shape": [3, 32, 32], "output": "logits",
        "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225],
        "class_names": [f"class {i}" for i in range(10)]}
torch.jit.script(net.eval()).save(sys.argv[1], _extra_files={"distillery.json": json.dumps(card)})
