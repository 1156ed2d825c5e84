"""Search of peptide spectra by ANN-SoLo beside that of `cellprobe`, on the same spectra. See README.md beside this file.

Run it with the Python of an environment that has ANN-SoLo. Of each peptide ion with several spectra every second spectrum is
a query, and the others are the library with all the rest. ANN-SoLo has no decoys here and accepts all it finds: what is
compared is how many queries are named right.
"""

import argparse
import csv
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

from mgf import blocks, field

# The limits of the preset for peptides of both.
LIKE_OURS = ["--min_mz", "101", "--max_mz", "1500", "--min_peaks", "5", "--min_mz_range", "250", "--min_intensity", "0.01"]
LIKE_OURS += ["--remove_precursor", "--remove_precursor_tolerance", "1.5", "--fragment_mz_tolerance", "0.02"]


def split(path):
    """Blocks of the library and of the queries."""
    library, queries, seen = [], [], {}
    for block in blocks(path):
        ion = field(block, "SEQ"), field(block, "CHARGE")
        seen[ion] = seen.get(ion, 0) + 1
        (queries if seen[ion] % 2 == 0 else library).append(block)
    return library, queries


def write_splib(path, library):
    """A binary library of SpectraST, as far as ANN-SoLo reads it; a peptide is written as the number of its spectrum."""
    with open(path, "wb") as out:
        out.write(struct.pack("<II", 1, 5) + b"library\n" + struct.pack("<I", 0))
        for number, block in enumerate(library):
            peaks = [line.split()[:2] for line in block if line[0].isdigit()]
            out.write(struct.pack("<I", number))
            out.write(f"X.{number}.X/{field(block, 'CHARGE').rstrip('+')}\n".encode())
            out.write(struct.pack("<d", float(field(block, "PEPMASS").split()[0])) + b"Normal\n")
            out.write(struct.pack("<I", len(peaks)))
            for mz, intensity in peaks:
                out.write(struct.pack("<dd", float(mz), float(intensity)) + b"?\n\n")
            out.write(b"Comment\n")


def write_mgf(path, spectra):
    with open(path, "w") as out:
        for block in spectra:
            out.writelines([block[0], "RTINSECONDS=0\n", *block[1:], "\n"])


def by_ann_solo(folder, library, queries, window):
    """Queries named right, and seconds with its indexing."""
    out = folder / "ann_solo.mztab"
    command = [pathlib.Path(sys.executable).parent / "ann_solo", folder / "library.splib", folder / "queries.mgf", out]
    command += ["--precursor_tolerance_mode", "ppm", "--no_gpu", *LIKE_OURS]
    if window == "10ppm":
        command += ["--precursor_tolerance_mass", "10"]
    else:
        command += ["--precursor_tolerance_mass", "0"]
        command += ["--precursor_tolerance_mass_open", "10000", "--precursor_tolerance_mode_open", "Da"]
    start = time.time()
    subprocess.run(list(map(str, command)), check=True, stderr=subprocess.DEVNULL)
    seconds = time.time() - start
    truth = {field(block, "TITLE"): field(block, "SEQ") for block in queries}
    with open(out) as table:
        rows = csv.DictReader((line for line in table if line.startswith("PS")), delimiter="\t")
        return sum(field(library[int(row["sequence"])], "SEQ") == truth[row["PSM_ID"]] for row in rows), seconds


def by_cellprobe(args, folder, window, score):
    command = [args.cellprobe, "spectra", "identify", folder / "library.mgf", folder / "queries.mgf"]
    command += ["-o", folder / f"{window}-{score}", "--preset", "proteomics", "--structure", "SEQ", "--truth", "SEQ", "--json"]
    command += ["--precursor-tolerance", window, "--score", score, "--device", args.device, "--quiet"]
    found = json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)
    return round(found["top1"] * found["known"]), found["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peptides", type=pathlib.Path, help="an MGF file with SEQ and CHARGE")
    parser.add_argument("--cellprobe", default="target/release/cellprobe")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    library, queries = split(args.peptides)
    print(f"{len(library)} spectra in the library, {len(queries)} queries")
    print("| precursors | program | named right | seconds |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_splib(folder / "library.splib", library)
        write_mgf(folder / "library.mgf", library)
        write_mgf(folder / "queries.mgf", queries)
        for window in ["10ppm", "open"]:
            for score in ["cosine", "entropy"]:
                print(f"| {window} | cellprobe, {score} | {{}} | {{:.2f}} |".format(*by_cellprobe(args, folder, window, score)), flush=True)
            print(f"| {window} | ANN-SoLo | {{}} | {{:.2f}} |".format(*by_ann_solo(folder, library, queries, window)), flush=True)


if __name__ == "__main__":
    main()
