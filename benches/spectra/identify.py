"""Identification of spectra: the tables in the docs of `spectra::identify`. See README.md beside this file.

The accepting rule is chosen on the compounds whose InChIKey block has an even hash and measured on the others; then the
halves change places, and twenty random halves are tried.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

from mgf import blocks, field

QUERIES = ["known", "absent", "isomer"]
SCORES = ["cosine", "modified-cosine", "entropy"]
DEFAULT_RULE = (0.35, 1, 0.15)
SPLITS = 20


def identify(args, library, queries, *options):
    """Every match of each query, and the summary."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.cellprobe, "spectra", "identify", library, *queries, "-o", folder + "/out", "--json"]
        command += ["--truth", "INCHIKEY:14", "--device", args.device, *options]
        summary = json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)
        with open(folder + "/out/matches.tsv") as table:
            rows = csv.DictReader((line for line in table if not line.startswith("#")), delimiter="\t")
            return list(rows), summary


def best(rows):
    return [row for row in rows if row["rank"] in "01"]


def first_half(compound):
    return hashlib.sha256(compound.encode()).digest()[0] % 2 == 0


def second_half(compound):
    return not first_half(compound)


def everything(_):
    return True


def passes(row, min_score, min_matched, min_delta):
    enough = row["rank"] == "1" and float(row["score"]) >= min_score and int(row["matched_peaks"]) >= min_matched
    return enough and not (row["delta"] and float(row["delta"]) < min_delta)


def count(rows, compounds, wanted, min_score=0.0, min_matched=0, min_delta=0.0):
    """Shares of the queries whose compounds are wanted."""
    total = dict.fromkeys(QUERIES, 0)
    right = wrong = 0
    accepted = {"absent": 0, "isomer": 0}
    for row in rows:
        compound, kind = compounds[row["query_id"]]
        if not wanted(compound):
            continue
        total[kind] += 1
        if not passes(row, min_score, min_matched, min_delta):
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
        "absent_accepted": accepted["absent"],
        "absent_total": total["absent"],
        "absent_share": accepted["absent"] / max(total["absent"], 1),
    }


def choose(rows, compounds, wanted):
    """On some compounds: the most precise rule, isomers counted as wrong, that keeps a recall of 0.85, or what is nearest
    to that. Of absent queries at most 1 % are accepted, or one, where that is more."""
    rules = []
    for score in [step / 20 for step in range(2, 18)]:
        for delta in [step / 20 for step in range(7)]:
            for matched in range(1, 5):
                found = count(rows, compounds, wanted, score, matched, delta)
                if found["absent_accepted"] <= max(1, 0.01 * found["absent_total"]):
                    recall = found["recall"]
                    rules.append((min(recall, 0.85), round(found["with_isomers"], 4), recall, (score, matched, delta)))
    return max(rules)[3]


def window(args, library, queries, compounds):
    """Within 10 ppm."""
    print("| score | top-1 | rule (score, peaks, delta) | half | precision | isomer queries counted | recall | absent accepted | isomers accepted |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for score in SCORES:
        rows = best(identify(args, library, queries, "--score", score)[0])
        top1 = count(rows, compounds, everything)["recall"]
        halves = [("first", first_half), ("second", second_half), ("both", everything)]
        for name, rule in [
            ("chosen on the first half", choose(rows, compounds, first_half)),
            ("chosen on the second half", choose(rows, compounds, second_half)),
            ("default", DEFAULT_RULE),
        ]:
            for side, wanted in halves:
                found = count(rows, compounds, wanted, *rule)
                shares = " | ".join(f"{found[key]:.3f}" for key in ["precision", "with_isomers", "recall"])
                print(f"| {score} | {top1:.4f} | {name} {rule} | {side} | {shares} | {found['absent']} | {found['isomers']} |")
        splits(rows, compounds, score)


def splits(rows, compounds, score):
    """Rules chosen on random halves of the compounds, measured on the others."""
    found = []
    for seed in range(SPLITS):
        all_compounds = sorted({compound for compound, _ in compounds.values()})
        chosen_on = set(random.Random(seed).sample(all_compounds, len(all_compounds) // 2))
        rule = choose(rows, compounds, chosen_on.__contains__)
        found.append(count(rows, compounds, lambda compound: compound not in chosen_on, *rule))
    for key in ["precision", "with_isomers", "recall", "absent_share"]:
        values = [one[key] for one in found]
        spread = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}, from {min(values):.4f} to {max(values):.4f}"
        print(f"{score}, {SPLITS} random halves, {key}: {spread}")


def taken_away(args, library):
    """Each spectrum of the library, with all of its own formula taken away: whatever is accepted then is wrong."""
    formulas = {field(block, "TITLE"): field(block, "FORMULA") for block in blocks(library)}
    print("| score | spectra | with another formula within 10 ppm | accepted | of all |\n| --- | --- | --- | --- | --- |")
    for score in SCORES:
        rows, _ = identify(args, library, [library], "--score", score, "-k", "100")
        left = {}
        for row in rows:
            if row["rank"] != "0" and formulas[row["library_id"]] != formulas[row["query_id"]]:
                left.setdefault(row["query_id"], []).append(row)
        accepted = 0
        for first, *others in left.values():
            delta = str(float(first["score"]) - float(others[0]["score"])) if others else ""
            accepted += passes({**first, "rank": "1", "delta": delta}, *DEFAULT_RULE)
        print(f"| {score} | {len(formulas)} | {len(left)} | {accepted} | {accepted / len(formulas):.4f} |", flush=True)


def q_values(args, library, queries):
    """What q-values by decoys say, and what is true; a match with an isomer is wrong in the last column alone."""
    print("| search | score at least | matches | q-value | wrong formula | wrong structure |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tolerance in ["10ppm", "0.5Da", "open"]:
        for score in ["cosine", "entropy"]:
            options = ["--score", score, "--decoys", "spectrum", "--precursor-tolerance", tolerance]
            rows = [row for row in best(identify(args, library, queries, *options)[0]) if row["rank"] == "1"]
            for least in [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.0]:
                above = [row for row in rows if float(row["score"]) >= least and float(row["q_value"]) < 1]
                if above:
                    said = max(float(row["q_value"]) for row in above)
                    shares = [sum(row["outcome"] in of for row in above) / len(above) for of in [["wrong"], ["wrong", "isomer"]]]
                    print(f"| {tolerance}, {score} | {least} | {len(above)} | {said:.4f} | {shares[0]:.4f} | {shares[1]:.4f} |", flush=True)


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
                    shares.append(f"{summary['top1']:.4f} ({round(summary['top1'] * summary['known'])})")
                print(f"| {factory} | {candidates} | " + " | ".join(shares) + f" | {summary['seconds']:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path, help="the folder of massbank_library.mgf.gz and massbank_query_*.mgf.gz")
    every = ["window", "absent", "q-values", "whole"]
    parser.add_argument("--what", nargs="+", choices=every, default=every)
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
    if "window" in args.what:
        window(args, library, queries, compounds)
    if "absent" in args.what:
        taken_away(args, library)
    if "q-values" in args.what:
        q_values(args, library, queries)
    if "whole" in args.what:
        whole(args, library, queries[:1])


if __name__ == "__main__":
    main()
