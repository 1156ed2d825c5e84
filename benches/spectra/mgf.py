"""MGF files, as far as the scripts beside this one need them."""

import gzip


def blocks(path):
    """The spectra of an MGF file as lists of lines."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as lines:
        block = []
        for line in lines:
            if line.startswith("BEGIN IONS"):
                block = []
            block.append(line)
            if line.startswith("END IONS"):
                yield block


def field(block, key):
    return next((line.split("=", 1)[1].strip() for line in block if line.startswith(key + "=")), "")
