"""The built-in networks for small pictures and recordings written once more with PyTorch's layers.

MobileNetV2  Sandler et al. 2018, with stride 1 at the first two of its five halvings
Vit          Dosovitskiy et al. 2021, with the mean over positions in place of a class token
Dscnn        Zhang et al. 2017, "Hello Edge"
Conv1d       M5 of Dai et al. 2017, padded
Names of parameters are those of the built-in ones; of MobileNetV2 they are torchvision's.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


def scaled(channels, percent):
    """As make_divisible of the authors' code: the nearest multiple of 8, at least nine tenths."""
    wanted = channels * percent / 100
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def convolution(in_channels, out, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(in_channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    def __init__(self, in_channels, out, stride, expansion):
        super().__init__()
        inside = in_channels * expansion
        self.residual = stride == 1 and in_channels == out
        layers = [convolution(in_channels, inside, 1)] if expansion > 1 else []
        layers += [
            convolution(inside, inside, 3, stride, groups=inside),
            nn.Conv2d(inside, out, 1, bias=False),
            nn.BatchNorm2d(out),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    STAGES = [
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]

    def __init__(self, percent, picture_channels, answers):
        super().__init__()
        channels = scaled(32, percent)
        layers = [convolution(picture_channels, channels, 3)]
        for expansion, out, blocks, stride in self.STAGES:
            for block in range(blocks):
                layers.append(
                    InvertedResidual(
                        channels, scaled(out, percent), stride if block == 0 else 1, expansion
                    )
                )
                channels = scaled(out, percent)
        last = scaled(1280, max(100, percent))
        layers.append(convolution(channels, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(last, answers))

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=(2, 3)))


class Vit(nn.Module):
    def __init__(self, layers, heads, width, patch, shape, answers):
        super().__init__()
        channels, rows, columns = shape
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions = nn.Embedding(rows // patch * (columns // patch), width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.fc = nn.Linear(width, answers)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions.weight
        return self.fc(self.encoder(x).mean(dim=1))


class Separable(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.depthwise(x)))
        return F.relu(self.bn2(self.pointwise(x)))


class Dscnn(nn.Module):
    def __init__(self, channels, blocks, input_channels, answers):
        super().__init__()
        self.conv = nn.Conv2d(
            input_channels, channels, (4, 10), stride=2, padding=(1, 4), bias=False
        )
        self.bn = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(*(Separable(channels) for _ in range(blocks)))
        self.fc = nn.Linear(channels, answers)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Conv1d(nn.Module):
    def __init__(self, channels, input_channels, answers):
        super().__init__()
        before = input_channels
        for i, width in enumerate([channels, channels, 2 * channels, 4 * channels], start=1):
            layer = (
                nn.Conv1d(before, width, 80, stride=4, bias=False)
                if i == 1
                else nn.Conv1d(before, width, 3, padding=1, bias=False)
            )
            setattr(self, f"conv{i}", layer)
            setattr(self, f"bn{i}", nn.BatchNorm1d(width))
            before = width
        self.fc = nn.Linear(before, answers)

    def forward(self, x):
        if x.dim() == 2:
            x = x.unsqueeze(1)
        for i in range(1, 5):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            x = F.max_pool1d(F.relu(x), 4)
        return self.fc(x.mean(dim=2))
