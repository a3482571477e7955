"""The built-in networks for tables, tokens, series and pixels written once more with PyTorch's layers.

Mlp          fully connected layers over all inputs side by side
Transformer  torch.nn.TransformerEncoder with norm_first, over embeddings with learned positions
Gru          torch.nn.GRU
Unet         Ronneberger, Fischer and Brox 2015, with padding, BatchNorm and nearest up-sampling
Each takes the inputs of a sample by position. Names of parameters are those of the built-in ones.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Mlp(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.depth = len(sizes) - 1
        for i in range(self.depth):
            setattr(self, f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, *inputs):
        x = torch.cat([x.flatten(1) if x.dim() > 1 else x.unsqueeze(1) for x in inputs], dim=1)
        for i in range(1, self.depth):
            x = F.relu(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.depth}")(x)


class Transformer(nn.Module):
    """`positions`: an answer for each token; `causal`: no token sees a later one."""

    def __init__(self, layers, heads, width, vocabulary, length, answers, positions, causal=False):
        super().__init__()
        self.length, self.answer_positions, self.causal = length, positions, causal
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.fc = nn.Linear(width, answers)

    def forward(self, tokens, mask=None):
        x = self.tokens(tokens) + self.positions.weight
        hidden = None
        if self.causal:
            hidden = torch.ones(self.length, self.length, dtype=torch.bool).triu(1)
        x = self.encoder(
            x, mask=hidden, src_key_padding_mask=None if mask is None else mask == 0
        )
        if self.answer_positions:
            return self.fc(x)
        if mask is None:
            return self.fc(x.mean(dim=1))
        counted = [row[keep != 0].mean(dim=0) for row, keep in zip(x, mask)]
        return self.fc(torch.stack(counted))


class Gru(nn.Module):
    """`vocabulary`: 0 for float numbers of so many channels; `positions` as above."""

    def __init__(self, states, layers, vocabulary, channels, answers, positions, channels_last=False):
        super().__init__()
        self.answer_positions, self.channels_last = positions, channels_last
        self.tokens = nn.Embedding(vocabulary, states) if vocabulary > 0 else None
        self.gru = nn.GRU(
            states if vocabulary > 0 else channels, states, layers, batch_first=True
        )
        self.fc = nn.Linear(states, answers)

    def forward(self, x, mask=None):
        if self.tokens is not None:
            x = self.tokens(x)
        elif x.dim() == 2:
            x = x.unsqueeze(2)
        elif not self.channels_last:
            x = x.transpose(1, 2)
        x, _ = self.gru(x)
        if self.answer_positions:
            return self.fc(x)
        if mask is None:
            return self.fc(x[:, -1])
        return self.fc(torch.stack([row[keep.nonzero().max()] for row, keep in zip(x, mask)]))


class Convolutions(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Unet(nn.Module):
    def __init__(self, channels, levels, picture_channels, answers):
        super().__init__()
        self.levels = levels
        widths = [channels * 2**level for level in range(levels)]
        previous = picture_channels
        for level, width in enumerate(widths[:-1], start=1):
            setattr(self, f"down{level}", Convolutions(previous, width))
            setattr(self, f"up{level}", Convolutions(width + 2 * width, width))
            previous = width
        self.bottom = Convolutions(previous, widths[-1])
        self.head = nn.Conv2d(channels, answers, 1)

    def forward(self, x):
        skips = []
        for level in range(1, self.levels):
            skips.append(getattr(self, f"down{level}")(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for level in range(self.levels - 1, 0, -1):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = getattr(self, f"up{level}")(torch.cat([x, skips.pop()], dim=1))
        return self.head(x).permute(0, 2, 3, 1)
