"""Identification of spectra: the tables in the docs of `spectra::identify`. See README.md beside this file.

The accepting rule is chosen on the compounds whose InChIKey block has an even hash and measured on the others; then the
halves change places, and twenty random halves are tried. The queries of absent compounds are too few to choose by, so that
the library's own spectra stand in for them: see `displaced`.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import random
import re
import statistics
import subprocess
import tempfile

import cluster
from mgf import blocks, field

QUERIES = ["known", "absent", "isomer"]
SCORES = ["cosine", "modified-cosine", "entropy"]
# Least score, fewest matched peaks, least distance to the next structure, largest precursor error in ppm.
DEFAULT_RULE = (0.35, 1, 0.2, 2.5)
RULES = [
    (score / 20, matched, delta / 20, error)
    for score in range(4, 15)
    for matched in range(1, 4)
    for delta in range(5)
    for error in (2.5, 5, 10)
]
SPLITS = 20
# A rule has to keep so much recall where it is chosen: 0.80 is wanted, and a half of the compounds differs from the other by
# about two points.
LEAST_RECALL = 0.82
# By how many ppm the precursors of the library's spectra are displaced.
DISPLACED = [ppm for ppm in range(-100, 101, 20) if ppm]


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
    """Of each query its name, what became of its best match, and that match."""
    return [(row["query_id"], row["outcome"], measured(row)) for row in rows if row["rank"] in "01"]


def first_half(compound):
    return hashlib.sha256(compound.encode()).digest()[0] % 2 == 0


def second_half(compound):
    return not first_half(compound)


def everything(_):
    return True


def measured(row):
    """Score, matched peaks, distance to the next structure and precursor error of a best match; `None` for no match."""
    if row["rank"] != "1":
        return None
    delta = float(row["delta"] or "inf")
    return float(row["score"]), int(row["matched_peaks"]), delta, abs(float(row["precursor_error_ppm"]))


def passes(match, rule):
    return match and match[0] >= rule[0] and match[1] >= rule[1] and match[2] >= rule[2] and match[3] <= rule[3]


def count(rows, compounds, wanted, rule=(0.0, 0, float("-inf"), float("inf"))):
    """Shares of the queries whose compounds are wanted; `rows` as of `best`."""
    total = dict.fromkeys(QUERIES, 0)
    right = wrong = 0
    accepted = {"absent": 0, "isomer": 0}
    for query, outcome, match in rows:
        compound, kind = compounds[query]
        if not wanted(compound):
            continue
        total[kind] += 1
        if not passes(match, rule):
            continue
        if kind != "known":
            accepted[kind] += 1
        elif outcome == "right":
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
        "absent_share": accepted["absent"] / max(total["absent"], 1),
    }


def without_own_formula(args, library, searched, score):
    """The best match of each spectrum once all of its own formula is taken out of the library, where any is left: whatever
    is accepted then is wrong."""
    formulas = {field(block, "TITLE"): field(block, "FORMULA") for block in blocks(library)}
    rows, _ = identify(args, library, [searched], "--score", score, "-k", "100")
    left = {}
    for row in rows:
        if row["rank"] != "0" and formulas[row["library_id"]] != formulas[row["query_id"].split("@")[0]]:
            left.setdefault(row["query_id"], []).append(row)
    found = []
    for query, (first, *others) in left.items():
        delta = str(float(first["score"]) - float(others[0]["score"])) if others else ""
        found.append((query, measured({**first, "rank": "1", "delta": delta})))
    return found


def displace(library, path):
    """Writes the library's spectra with displaced precursors, several of each."""
    with open(path, "w") as out:
        for block in blocks(library):
            text = "".join(block)
            mz = float(field(block, "PEPMASS").split()[0])
            for ppm in DISPLACED:
                moved = re.sub(r"(?m)^PEPMASS=.*$", f"PEPMASS={mz * (1 + ppm * 1e-6):.6f}", text)
                out.write(re.sub(r"(?m)^(TITLE=.*)$", rf"\g<1>@{ppm}", moved) + "\n")


def displaced(args, library, path, score):
    """Spectra of the library with displaced precursors: their candidates are of nearly the same mass and of other formulas,
    as those of a compound that the library does not have."""
    compounds = {field(block, "TITLE"): field(block, "INCHIKEY")[:14] for block in blocks(library)}
    return [(compounds[query.split("@")[0]], match) for query, match in without_own_formula(args, library, path, score)]


def choose(rows, compounds, others, wanted):
    """On some compounds, of the rules that keep `LEAST_RECALL`, or come nearest to it: that which accepts the fewest spectra
    of displaced precursors, then the fewest absent queries, then the most precise, isomers counted as wrong."""
    rows = [row for row in rows if wanted(compounds[row[0]][0])]
    least = min(rule[0] for rule in RULES)
    others = [match for compound, match in others if match[0] >= least and wanted(compound)]
    rules = []
    for rule in RULES:
        found = count(rows, compounds, everything, rule)
        wrong = sum(passes(match, rule) for match in others)
        kept = min(found["recall"], LEAST_RECALL)
        rules.append((kept, -wrong, -found["absent_accepted"], found["with_isomers"], found["recall"], rule))
    return max(rules)[-1]


def window(args, library, queries, compounds):
    """Within 10 ppm."""
    print("| score | top-1 | rule (score, peaks, delta, ppm) | half | precision | isomer queries counted | recall | absent accepted | isomers accepted | displaced accepted |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "displaced.mgf"
        displace(library, path)
        for score in SCORES:
            rows = best(identify(args, library, queries, "--score", score)[0])
            others = displaced(args, library, path, score)
            top1 = count(rows, compounds, everything)["recall"]
            halves = [("first", first_half), ("second", second_half), ("both", everything)]
            for name, rule in [
                ("chosen on the first half", choose(rows, compounds, others, first_half)),
                ("chosen on the second half", choose(rows, compounds, others, second_half)),
                ("default", DEFAULT_RULE),
            ]:
                for side, wanted in halves:
                    found = count(rows, compounds, wanted, rule)
                    shares = " | ".join(f"{found[key]:.3f}" for key in ["precision", "with_isomers", "recall"])
                    accepted = sum(passes(match, rule) for compound, match in others if wanted(compound))
                    counts = f"{found['absent']} | {found['isomers']} | {accepted}"
                    print(f"| {score} | {top1:.4f} | {name} {rule} | {side} | {shares} | {counts} |", flush=True)
            splits(rows, compounds, others, score)


def splits(rows, compounds, others, score):
    """Rules chosen on random halves of the compounds, measured on the others."""
    all_compounds = sorted({compound for compound, _ in compounds.values()} | {compound for compound, _ in others})
    found, rules = [], []
    for seed in range(SPLITS):
        chosen_on = set(random.Random(seed).sample(all_compounds, len(all_compounds) // 2))
        rules.append(choose(rows, compounds, others, chosen_on.__contains__))
        found.append(count(rows, compounds, lambda compound: compound not in chosen_on, rules[-1]))
    for key in ["precision", "with_isomers", "recall", "absent_share"]:
        values = [one[key] for one in found]
        spread = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}, from {min(values):.4f} to {max(values):.4f}"
        print(f"{score}, {SPLITS} random halves, {key}: {spread}")
    none = sum(one["absent_accepted"] == 0 for one in found)
    print(f"{score}, {SPLITS} random halves: no absent query accepted in {none}; rules {sorted(set(rules))}", flush=True)


def taken_away(args, library):
    """Each spectrum of the library, with all of its own formula taken away."""
    print("| score | spectra | with another formula within 10 ppm | accepted | of all |\n| --- | --- | --- | --- | --- |")
    spectra = sum(1 for _ in blocks(library))
    for score in SCORES:
        left = without_own_formula(args, library, library, score)
        accepted = sum(passes(match, DEFAULT_RULE) for _, match in left)
        print(f"| {score} | {spectra} | {len(left)} | {accepted} | {accepted / spectra:.4f} |", flush=True)


def q_values(args, library, queries):
    """What q-values by decoys say, and what is true; a match with an isomer is wrong in the last column alone."""
    print("| search | score at least | matches | q-value | wrong formula | wrong structure |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tolerance in ["10ppm", "0.5Da", "open"]:
        for score in ["cosine", "entropy"]:
            options = ["--score", score, "--decoys", "spectrum", "--precursor-tolerance", tolerance]
            rows = [row for row in identify(args, library, queries, *options)[0] if row["rank"] == "1"]
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


def memory(args, library):
    """Time and peak memory with the number of queries and the bound; synthetic."""
    print("| synthetic queries | --memory | seconds | peak memory, MiB | matches.tsv |\n| --- | --- | --- | --- | --- |")
    for number in args.counts:
        with tempfile.TemporaryDirectory() as folder:
            queries = pathlib.Path(folder) / "synthetic.mgf"
            cluster.synthetic(args, queries, number)
            for mib in args.memory:
                out = pathlib.Path(folder) / f"{mib}"
                command = [args.cellprobe, "spectra", "identify", library, queries, "-o", out, "--json"]
                command += ["--memory", mib, "--device", args.device]
                summary, peak = cluster.run(list(map(str, command)))
                with open(out / "matches.tsv", "rb") as table:
                    digest = hashlib.file_digest(table, "sha256").hexdigest()[:12]
                print(f"| {number} | {mib} | {summary['seconds']:.1f} | {peak:.0f} | {digest} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=pathlib.Path, help="the folder of massbank_library.mgf.gz and massbank_query_*.mgf.gz")
    every = ["window", "absent", "q-values", "whole"]
    parser.add_argument("--what", nargs="+", choices=[*every, "memory"], default=every)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="of memory: queries")
    parser.add_argument("--memory", type=int, nargs="+", default=[64, 8192], help="of memory: MiB to hold")
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
    if "memory" in args.what:
        memory(args, library)
    if "whole" in args.what:
        whole(args, library, queries[:1])


if __name__ == "__main__":
    main()
