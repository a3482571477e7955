"""PNG files of every kind, written by the specification: Adam7, all depths, tRNS, gAMA."""

import struct
import zlib

import numpy

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16),
          RGBA: (8, 16)}
# Section 8.2: first column, first row, column step, row step.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def packed_rows(values, depth):
    """Scan lines with filter 0 of values [rows, columns, channels]."""
    lines = []
    for row in values.reshape(len(values), -1):
        if depth == 16:
            line = row.astype(">u2").tobytes()
        else:
            bits = ((row[:, None] >> numpy.arange(depth - 1, -1, -1)) & 1).astype(numpy.uint8)
            line = numpy.packbits(bits.reshape(-1)).tobytes()
        lines.append(b"\0" + line)
    return b"".join(lines)


def png(values, depth, colour, interlaced=False, palette=None, transparent=None, gamma=None):
    """The bytes of a file. `values`: integers [height, width, channels]; `palette`: [colours, 3];
    `transparent`: the values of one colour, or the alphas of a palette; `gamma`: as in gAMA."""
    height, width, channels = values.shape
    assert channels == CHANNELS[colour]
    extra = b""
    if gamma is not None:
        extra += chunk(b"gAMA", struct.pack(">I", gamma))
    if palette is not None:
        extra += chunk(b"PLTE", bytes(palette.reshape(-1).tolist()))
    if transparent is not None:
        body = bytes(transparent) if colour == PALETTE else b"".join(
            struct.pack(">H", value) for value in transparent)
        extra += chunk(b"tRNS", body)
    if interlaced:
        passes = [values[top::down, left::across] for left, top, across, down in ADAM7]
        rows = b"".join(packed_rows(part, depth) for part in passes if part.size)
    else:
        rows = packed_rows(values, depth)
    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0,
                                         int(interlaced)))
            + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
