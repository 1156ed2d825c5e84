"""Clustering by falcon beside that of `cellprobe`, on the same spectra. See README.md beside this file.

Run it with the Python of an environment that has falcon. Settings of both are chosen on one half of the formulas, as those
of the most complete clusters of which at most 3 % are incorrect, and looked at on the other half and on everything.
"""

import argparse
import contextlib
import csv
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np
from falcon import __version__
from falcon.falcon import main as falcon
from sklearn.metrics import adjusted_rand_score, completeness_score, normalized_mutual_info_score

import cluster
from mgf import blocks, field

EPS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6]
SCALINGS = ["off", "root", "log", "rank"]
FRAGMENT_TOLERANCES = ["0.02", "0.05"]
# What the metabolomics preset keeps: falcon's defaults are for peptides and drop most spectra of small molecules. As many
# neighbours as there are in any bucket, so that nothing is lost to approximation.
LIKE_OURS = ["--min_peaks", "1", "--min_mz_range", "0", "--min_mz", "1", "--max_mz", "3000", "--max_peaks_used", "100"]
LIKE_OURS += ["--precursor_tol", "10", "ppm", "--n_neighbors", "256", "--n_neighbors_ann", "1024"]
KEYS = ["clustered_ratio", "incorrectly_clustered_ratio", "completeness", "nmi", "ari"]


def write_parts(args, folder):
    """Both files as plain MGF: the halves, and everything. Returns the paths and the identities, in their order."""
    parts = {name: (folder / f"{name}.mgf", []) for name in ["first", "second", "everything"]}
    with contextlib.ExitStack() as stack:
        out = {name: stack.enter_context(open(path, "w")) for name, (path, _) in parts.items()}
        for block in itertools.chain.from_iterable(blocks(args.data / name) for name in cluster.FILES):
            half = ["first", "second"][zlib.crc32(field(block, "FORMULA").encode()) % 2]
            for name in [half, "everything"]:
                out[name].writelines(block)
                parts[name][1].append(field(block, "INCHIKEY")[:14])
    return parts


def quality(labels, identities):
    """The measures of `spectra::cluster::Quality`: what has no cluster is alone."""
    labels, identities = np.array(labels), np.unique(identities, return_inverse=True)[1]
    alone = labels < 0
    labels[alone] = labels.max() + 1 + np.arange(alone.sum())
    clustered = incorrect = 0
    for label, size in zip(*np.unique(labels, return_counts=True)):
        if size > 1:
            clustered += size
            incorrect += size - np.bincount(identities[labels == label]).max()
    found = [clustered / len(labels), incorrect / max(clustered, 1), completeness_score(identities, labels)]
    found += [normalized_mutual_info_score(identities, labels), adjusted_rand_score(identities, labels)]
    return dict(zip(KEYS, found))


def by_falcon(path, identities, setting, work):
    """falcon keeps its pairs in `work`, so that only the first of several eps computes them."""
    scaling, tolerance, window, eps = setting
    out = work / "out"
    out.with_suffix(".csv").unlink(missing_ok=True)
    options = [path, out, "--work_dir", work, "--scaling", scaling, "--fragment_tol", tolerance]
    options += ["--remove_precursor_tol", window, "--eps", eps, *LIKE_OURS]
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        if falcon(" ".join(map(str, options))):
            raise SystemExit("falcon failed")
    labels = [-1] * len(identities)
    with open(out.with_suffix(".csv")) as table:
        for row in csv.DictReader(line for line in table if not line.startswith("#")):
            labels[int(row["identifier"].rsplit(":", 1)[1])] = int(row["cluster"])
    return quality(labels, identities)


def best(found):
    """The most complete of what is correct enough."""
    correct = [(setting, it) for setting, it in found if it["incorrectly_clustered_ratio"] <= cluster.MOST_INCORRECT]
    return max(correct, key=lambda pair: pair[1]["completeness"])[0]


def choose_falcon(args, parts, folder):
    found = []
    for scaling, tolerance, window in itertools.product(SCALINGS, FRAGMENT_TOLERANCES, ["0", "0.5"]):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            for eps in EPS:
                setting = (scaling, tolerance, window, eps)
                found.append((setting, by_falcon(*parts["first"], setting, pathlib.Path(work))))
                if args.all:
                    cluster.line(f"falcon {setting}, chosen on", found[-1][1])
    return best(found)


def choose_ours(args, parts):
    found = []
    for method, score, threshold in itertools.product(["dbscan", "average"], ["cosine", "entropy"], cluster.THRESHOLDS):
        options = ["--method", method, "--score", score, "--threshold", str(threshold)]
        found.append((options, cluster.cluster(args, [parts["first"][0]], *options)[0]))
        if args.all:
            cluster.line(f"cellprobe {' '.join(options[1::2])}, chosen on", found[-1][1])
    return best(found)


def seconds_of_falcon(path, setting, folder):
    scaling, tolerance, window, eps = setting
    command = [pathlib.Path(sys.executable).parent / "falcon", path, folder / "timed", "--scaling", scaling]
    command += ["--fragment_tol", tolerance, "--remove_precursor_tol", window, "--eps", str(eps), *LIKE_OURS]
    start = time.time()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path, help="folder with the MassBank split")
    parser.add_argument("--cellprobe", default="target/release/cellprobe")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scratch", default=None, help="folder for temporary files")
    parser.add_argument("--all", action="store_true", help="print every setting that was tried")
    args = parser.parse_args()
    print(f"falcon {__version__}")
    print("| settings | clustered | incorrectly clustered | completeness | NMI | ARI |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        folder = pathlib.Path(folder)
        parts = write_parts(args, folder)
        everything = parts["everything"][0]
        setting = choose_falcon(args, parts, folder)
        for name, part in parts.items():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                cluster.line(f"falcon {setting}, {name}", by_falcon(*part, setting, pathlib.Path(work)))
        options = choose_ours(args, parts)
        for name, tried in [(" ".join(options[1::2]), options), ("default", [])]:
            for part, (path, _) in parts.items():
                cluster.line(f"cellprobe {name}, {part}", cluster.cluster(args, [path], *tried)[0])
        ours = [cluster.cluster(args, [everything])[0]["seconds"] for _ in range(3)]
        print(f"everything: falcon {seconds_of_falcon(everything, setting, folder):.1f} s, cellprobe {min(ours):.1f} s")


if __name__ == "__main__":
    main()
