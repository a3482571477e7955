"""The built-in residual networks written once more with PyTorch's own layers.

ResNet      He et al. 2015, section 4.2, with 1 x 1 convolutions as shortcuts
WideResNet  Zagoruyko and Komodakis 2016
Names of parameters are those of github.com/HobbitLong/RepDistiller.
"""

import torch.nn as nn
import torch.nn.functional as F


def convolution(channels, out, kernel, stride):
    return nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = convolution(channels, out, 3, stride)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = convolution(out, out, 3, 1)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                convolution(channels, out, 1, stride), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class WideBlock(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = convolution(channels, out, 3, stride)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = convolution(out, out, 3, 1)
        self.convShortcut = None if channels == out else convolution(channels, out, 1, stride)

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return shortcut + y


def stage(block, count, channels, out, stride):
    first = block(channels, out, stride)
    return nn.Sequential(first, *(block(out, out, 1) for _ in range(count - 1)))


class ResNet(nn.Module):
    def __init__(self, depth, class_count):
        super().__init__()
        count = (depth - 2) // 6
        self.conv1 = convolution(3, 16, 3, 1)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(BasicBlock, count, 16, 16, 1)
        self.layer2 = stage(BasicBlock, count, 16, 32, 2)
        self.layer3 = stage(BasicBlock, count, 32, 64, 2)
        self.fc = nn.Linear(64, class_count)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class WideStage(nn.Module):
    def __init__(self, count, channels, out, stride):
        super().__init__()
        self.layer = stage(WideBlock, count, channels, out, stride)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, width, class_count):
        super().__init__()
        count = (depth - 4) // 6
        self.conv1 = convolution(3, 16, 3, 1)
        self.block1 = WideStage(count, 16, 16 * width, 1)
        self.block2 = WideStage(count, 16 * width, 32 * width, 2)
        self.block3 = WideStage(count, 32 * width, 64 * width, 2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, class_count)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))
