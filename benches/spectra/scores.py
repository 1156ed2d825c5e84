"""Agreement of the scores with matchms and ms_entropy on random pairs of spectra. See README.md beside this file.

pip install matchms ms_entropy
python scores.py library.mgf.gz --cellprobe ../../target/release/cellprobe
"""

import argparse
import csv
import pathlib
import random
import subprocess
import tempfile

import numpy as np
from matchms import Spectrum
from matchms.similarity import CosineGreedy, CosineHungarian, ModifiedCosineGreedy, ModifiedCosineHungarian
import ms_entropy
import ms_entropy.spectra.entropy

from mgf import blocks, field

TOLERANCE = 0.02
# ms_entropy holds m/z in single precision, so that peaks just at the limit fall either way: this lies between the digits
# that spectra are written with.
ENTROPY_TOLERANCE = 0.02003


def peaks(block):
    pairs = [line.split()[:2] for line in block if line[0].isdigit()]
    return np.array(sorted((float(mz), float(np.float32(intensity))) for mz, intensity in pairs if float(intensity) > 0))


def of_matchms(block):
    mz, intensities = peaks(block).T
    return Spectrum(mz=mz, intensities=np.sqrt(intensities), metadata={"precursor_mz": float(field(block, "PEPMASS"))})


def of_cellprobe(args, score, library, queries, tolerance=TOLERANCE):
    """The score and the matched peaks of each pair by its titles: a search that leaves nothing out."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, all_blocks in [("library.mgf", library), ("queries.mgf", queries)]:
            (folder / name).write_text("".join("".join(block) for block in all_blocks))
        command = [args.cellprobe, "spectra", "identify", folder / "library.mgf", folder / "queries.mgf", "-o", folder / "out"]
        command += ["--score", score, "--precursor-tolerance", "open", "--structure", "TITLE", "-k", str(len(library))]
        command += ["--rerank-candidates", str(len(library)), "--min-relative-intensity", "0", "--max-peaks", "1000000"]
        command += ["--fragment-tolerance", f"{tolerance}Da", "--device", "cpu", "--quiet"]
        subprocess.run(command, check=True)
        with open(folder / "out" / "matches.tsv") as table:
            rows = csv.DictReader((line for line in table if not line.startswith("#")), delimiter="\t")
            return {(r["query_id"], r["library_id"]): (float(r["score"]), int(r["matched_peaks"])) for r in rows}


def report(name, found, reference, pairs):
    worst = max(abs(found[pair][0] - reference[pair][0]) for pair in pairs)
    matched = sum(found[pair][1] == reference[pair][1] for pair in pairs if reference[pair][1] is not None)
    counted = sum(reference[pair][1] is not None for pair in pairs)
    positive = sum(reference[pair][0] > 0 for pair in pairs)
    apart = sum(abs(found[pair][0] - reference[pair][0]) > 1e-6 for pair in pairs)
    text = f"| {name} | {len(pairs)} | {positive} | {worst:.1e} | {apart} |"
    print(text + (f" {matched} of {counted} |" if counted else " |"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=pathlib.Path, help="an MGF file")
    parser.add_argument("--cellprobe", default="cellprobe")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    choice = random.Random(args.seed)
    spectra = [block for block in blocks(args.library) if "IONMODE=positive\n" in block]
    # Every other pair shares its precursor to 50, so that there is something to match and something to shift.
    chosen = []
    for _ in range(8):
        centre = float(field(choice.choice(spectra), "PEPMASS"))
        near = [block for block in spectra if abs(float(field(block, "PEPMASS")) - centre) < 50]
        chosen += choice.sample(near, min(len(near), 15))
    chosen = list({field(block, "TITLE"): block for block in chosen}.values())
    choice.shuffle(chosen)
    library, queries = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    titled = {field(block, "TITLE"): block for block in chosen}
    all_pairs = [(field(query, "TITLE"), field(block, "TITLE")) for query in queries for block in library]
    pairs = choice.sample(all_pairs, min(args.pairs, len(all_pairs)))
    print("| reference | pairs | with something in common | worst difference | more than 1e-6 apart | same number of matched peaks |")
    print("| --- | --- | --- | --- | --- | --- |")
    converted = {title: of_matchms(block) for title, block in titled.items()}
    for score, references in [
        ("cosine", [CosineHungarian, CosineGreedy]),
        ("modified-cosine", [ModifiedCosineHungarian, ModifiedCosineGreedy]),
    ]:
        found = of_cellprobe(args, score, library, queries)
        for reference in references:
            compare = reference(tolerance=TOLERANCE)
            scores = {}
            for query, block in pairs:
                result = compare.pair(converted[query], converted[block])
                scores[query, block] = (float(result["score"]), int(result["matches"]))
            report(f"matchms {reference.__name__}", found, scores, pairs)
    found = of_cellprobe(args, "entropy", library, queries, ENTROPY_TOLERANCE)
    # The package has its method twice, in Python and compiled; the two do not merge all peaks alike.
    for name, compare in [
        ("ms_entropy (Python)", ms_entropy.spectra.entropy.calculate_entropy_similarity),
        ("ms_entropy (compiled)", ms_entropy.calculate_entropy_similarity),
    ]:
        scores = {}
        for query, block in pairs:
            a, b = (peaks(titled[title]).astype(np.float32) for title in (query, block))
            similarity = compare(a, b, ms2_tolerance_in_da=ENTROPY_TOLERANCE, noise_threshold=0)
            scores[query, block] = (float(similarity), None)
        report(name, found, scores, pairs)


if __name__ == "__main__":
    main()
