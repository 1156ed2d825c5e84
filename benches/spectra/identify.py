"""Identification of spectra: the tables in the docs of `spectra::identify`. See README.md beside this file.

The accepting rule is chosen on the compounds whose InChIKey block has an even hash and measured on the others.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import subprocess
import tempfile

from mgf import blocks, field

QUERIES = ["known", "absent", "isomer"]
SCORES = ["cosine", "modified-cosine", "entropy"]


def identify(args, library, queries, *options):
    """The best match of each query, and the summary."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.cellprobe, "spectra", "identify", library, *queries, "-o", folder + "/out", "--json"]
        command += ["--truth", "INCHIKEY:14", "--device", args.device, *options]
        summary = json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)
        with open(folder + "/out/matches.tsv") as table:
            rows = csv.DictReader((line for line in table if not line.startswith("#")), delimiter="\t")
            return [row for row in rows if row["rank"] in "01"], summary


def half(compound):
    return hashlib.sha256(compound.encode()).digest()[0] % 2


def count(rows, compounds, wanted, min_score=0.0, min_matched=0, min_delta=0.0):
    """Shares of the queries whose compounds have the wanted hash."""
    total = dict.fromkeys(QUERIES, 0)
    right = wrong = 0
    accepted = {"absent": 0, "isomer": 0}
    for row in rows:
        compound, kind = compounds[row["query_id"]]
        if half(compound) not in wanted:
            continue
        total[kind] += 1
        passes = row["rank"] == "1" and float(row["score"]) >= min_score and int(row["matched_peaks"]) >= min_matched
        if not passes or (row["delta"] and float(row["delta"]) < min_delta):
            continue
        if kind != "known":
            accepted[kind] += 1
        elif row["outcome"] == "right":
            right += 1
        else:
            wrong += 1
    return {
        "precision": right / max(right + wrong + accepted["absent"], 1),
        "with_isomers": right / max(right + wrong + accepted["absent"] + accepted["isomer"], 1),
        "recall": right / max(total["known"], 1),
        "absent": f"{accepted['absent']} of {total['absent']}",
        "isomers": f"{accepted['isomer']} of {total['isomer']}",
        "absent_share": accepted["absent"] / max(total["absent"], 1),
    }


def choose(rows, compounds):
    """On the first half: the most precise rule, isomers counted as wrong, that keeps a recall of 0.85."""
    rules = []
    for score in [step / 20 for step in range(2, 18)]:
        for delta in [step / 20 for step in range(7)]:
            for matched in range(1, 5):
                found = count(rows, compounds, [0], score, matched, delta)
                if found["recall"] >= 0.85 and found["absent_share"] <= 0.01:
                    rules.append((round(found["with_isomers"], 4), found["recall"], (score, matched, delta)))
    return max(rules)[2]


def window(args, library, queries, compounds):
    """Within 10 ppm."""
    print("| score | top-1 | rule (score, peaks, delta) | half | precision | isomer queries counted | recall | absent accepted | isomers accepted |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for score in SCORES:
        rows, _ = identify(args, library, queries, "--score", score)
        top1 = count(rows, compounds, [0, 1])["recall"]
        for name, rule in [("chosen", choose(rows, compounds)), ("default", (0.35, 1, 0.15))]:
            for side, wanted in [("choosing", [0]), ("other", [1]), ("both", [0, 1])]:
                found = count(rows, compounds, wanted, *rule)
                shares = " | ".join(f"{found[key]:.3f}" for key in ["precision", "with_isomers", "recall"])
                print(f"| {score} | {top1:.4f} | {name} {rule} | {side} | {shares} | {found['absent']} | {found['isomers']} |")


def whole(args, library, queries):
    """Whatever the precursor."""
    print("| index | candidates compared | " + " | ".join(SCORES) + " | seconds |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for factory in ["exact vectors", "PQ8", "IVF128,PQ8", "IVF128,PQ16"]:
            searched = library
            if factory != "exact vectors":
                searched = pathlib.Path(folder) / f"{factory}.index"
                command = [args.cellprobe, "spectra", "index", library, "-o", searched, "--index", factory]
                subprocess.run([*command, "--device", args.device, "--quiet"], check=True)
            for candidates in ["none", "200", "1000"]:
                shares = []
                for score in SCORES:
                    options = ["--precursor-tolerance", "open", "--rerank-candidates", candidates, "--score", score]
                    summary = identify(args, searched, queries, *options)[1]
                    shares.append(f"{summary['top1']:.4f}")
                print(f"| {factory} | {candidates} | " + " | ".join(shares) + f" | {summary['seconds']:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path, help="the folder of massbank_library.mgf.gz and massbank_query_*.mgf.gz")
    parser.add_argument("--cellprobe", default="cellprobe")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    library = args.data / "massbank_library.mgf.gz"
    queries = [args.data / f"massbank_query_{kind}.mgf.gz" for kind in QUERIES]
    compounds = {
        field(block, "TITLE"): (field(block, "INCHIKEY")[:14], kind)
        for kind, path in zip(QUERIES, queries)
        for block in blocks(path)
    }
    window(args, library, queries, compounds)
    whole(args, library, queries[:1])


if __name__ == "__main__":
    main()
