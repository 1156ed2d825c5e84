"""Clustering of spectra: the tables in the docs of `spectra::cluster`. See README.md beside this file."""

import argparse
import json
import math
import os
import pathlib
import random
import subprocess
import tempfile
import zlib

from mgf import blocks, field

FILES = ["massbank_library.mgf.gz", "massbank_query_known.mgf.gz"]
THRESHOLDS = [0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8]
MOST_INCORRECT = 0.03


def cluster(args, files, *options):
    """Runs the command: its summary, and its peak memory in MiB."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        command = [args.cellprobe, "spectra", "cluster", *map(str, files), "-o", folder + "/out", "--json", *options]
        return run([*command, "--device", args.device, "--truth", "INCHIKEY:14"])


def run(command):
    """What a command says as JSON, and its peak memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return json.loads(text), usage.ru_maxrss / 1024


def line(name, found):
    keys = ["clustered_ratio", "incorrectly_clustered_ratio", "completeness", "nmi", "ari"]
    print(f"| {name} | " + " | ".join(f"{found[key]:.3f}" for key in keys) + " |", flush=True)


def methods(args):
    """Every method at several thresholds, library and known queries together."""
    files = [args.data / name for name in FILES]
    print("| method | clustered | incorrectly clustered | completeness | NMI | ARI |\n| --- | --- | --- | --- | --- | --- |")
    for score in ["cosine", "entropy"]:
        for method in ["dbscan", "average", "complete"]:
            for threshold in THRESHOLDS:
                found, _ = cluster(args, files, "--method", method, "--score", score, "--threshold", str(threshold))
                line(f"{method} {threshold}, {score}", found)
    for centroids in ["2000", "4000"]:
        line(f"kmeans, {centroids} centroids", cluster(args, files, "--method", "kmeans", "--centroids", centroids)[0])


def choose(args):
    """Thresholds chosen on one half of the formulas, so that isomers stay together, and looked at on the other half."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        halves = [pathlib.Path(folder) / "chosen_on.mgf", pathlib.Path(folder) / "tested_on.mgf"]
        with open(halves[0], "w") as first, open(halves[1], "w") as second:
            for name in FILES:
                for block in blocks(args.data / name):
                    half = zlib.crc32(field(block, "FORMULA").encode()) % 2
                    (first, second)[half].writelines(block)
        for score in ["cosine", "entropy"]:
            for method in ["dbscan", "average", "complete"]:
                best = None
                for threshold in THRESHOLDS:
                    options = ["--method", method, "--score", score, "--threshold", str(threshold)]
                    found, _ = cluster(args, halves[:1], *options)
                    if found["incorrectly_clustered_ratio"] <= MOST_INCORRECT:
                        best = (options, found)
                if best:
                    options, found = best
                    line(f"{' '.join(options[1::2])}, chosen on", found)
                    line(f"{' '.join(options[1::2])}, tested on", cluster(args, halves[1:], *options)[0])
                else:
                    print(f"{method} {score}: no threshold keeps {MOST_INCORRECT}")


def synthetic(args, path, count):
    """Writes `count` synthetic spectra: jittered copies of the first 10,000 spectra of the library."""
    chance = random.Random(count)
    base = [block for _, block in zip(range(10_000), blocks(args.data / FILES[0]))]
    with open(path, "w") as out:
        for number in range(count):
            block = base[number % len(base)]
            precursor = float(field(block, "PEPMASS").split()[0]) * (1 + chance.gauss(0, 1e-6))
            out.write(f"BEGIN IONS\nTITLE=synthetic {number}: jittered copy of {field(block, 'TITLE')}\n")
            out.write(f"INCHIKEY={field(block, 'INCHIKEY')}\n")
            out.write(f"PEPMASS={precursor:.5f}\nCHARGE={field(block, 'CHARGE')}\nIONMODE={field(block, 'IONMODE')}\n")
            for peak in block:
                if peak[0].isdigit() and chance.random() > 0.05:
                    mz, intensity = peak.split()[:2]
                    mz = float(mz) * (1 + 2e-6 * (chance.random() + chance.random() - 1))
                    out.write(f"{mz:.5f} {float(intensity) * (0.8 + 0.4 * chance.random()):.2f}\n")
            out.write("END IONS\n\n")


def scale(args):
    """Time, memory and quality with the number of spectra; synthetic."""
    print("| synthetic spectra | seconds | over n log n | peak memory, MiB | clusters | incorrectly clustered | completeness |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for count in args.counts:
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            path = pathlib.Path(folder) / "synthetic.mgf"
            synthetic(args, path, count)
            found, memory = cluster(args, [path], "--memory", str(args.memory))
        seconds = found["seconds"]
        first = first or seconds / (count * math.log(count))
        growth = seconds / (count * math.log(count)) / first
        shares = " | ".join(f"{found[key]:.3f}" for key in ["incorrectly_clustered_ratio", "completeness"])
        print(f"| {count} | {seconds:.2f} | {growth:.2f} | {memory:.0f} | {found['clusters']} | {shares} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["methods", "choose", "scale"])
    parser.add_argument("data", type=pathlib.Path, help="folder with the MassBank split")
    parser.add_argument("--cellprobe", default="target/release/cellprobe")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scratch", default=None, help="folder for temporary files")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--memory", type=int, default=1024, help="MiB of spectra to hold in memory")
    args = parser.parse_args()
    {"methods": methods, "choose": choose, "scale": scale}[args.what](args)


if __name__ == "__main__":
    main()
