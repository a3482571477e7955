"""Image files and small data sets made in tests, in plain Python and NumPy."""

import os
import struct
import zlib

import numpy


def write_png(path, pixels):
    """Grey PNG of a 2-D array of bytes (PNG specification, section 5: chunks; filter 0)."""
    height, width = pixels.shape

    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    rows = b"".join(b"\0" + bytes(row) for row in pixels.astype(numpy.uint8))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8,
                                                                      0, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_pgm(path, pixels):
    with open(path, "wb") as file:
        file.write(b"P5\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]))
        file.write(pixels.astype(numpy.uint8).tobytes())


def blobs(count, classes, channels=1, size=12, seed=1):
    """Images uint8 [count, channels, size, size] with a bright bar whose place is the class."""
    random = numpy.random.default_rng(seed)
    labels = numpy.arange(count) % classes
    images = random.integers(0, 90, (count, channels, size, size))
    for image, label in zip(images, labels):
        row = 1 + label * (size - 2) // classes
        image[:, row:row + 2, 2:-2] += 150
    return images.astype(numpy.uint8), labels.astype(numpy.int64)


def write_npy_dataset(folder, classes, channels=1, size=12):
    """A data set of NPY pairs, 420 training and 140 test images."""
    os.makedirs(folder)
    for split, count, seed in (("train", 420, 1), ("test", 140, 2)):
        images, labels = blobs(count, classes, channels, size, seed)
        numpy.save(os.path.join(folder, f"{split}_images.npy"), images)
        numpy.save(os.path.join(folder, f"{split}_labels.npy"), labels)
