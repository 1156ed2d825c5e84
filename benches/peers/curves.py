#!/usr/bin/env python3
"""Recall against queries a second of cellprobe's CPU backend, faiss, ScaNN, usearch and hnswlib on the word vectors, as
an SVG plot and a table of the best of each at some recalls: see README.md."""
import argparse, json, os, sys, time
from pathlib import Path

OPTIONS = argparse.ArgumentParser(description=__doc__)
OPTIONS.add_argument("--data", type=Path, required=True, help="folder that data.py filled")
OPTIONS.add_argument("--threads", type=int, default=1)
OPTIONS.add_argument("--reps", type=int, default=3)
OPTIONS.add_argument("--svg", type=Path, default=Path("curves.svg"))
OPTIONS.add_argument("--json", type=Path, help="file to write all points to")
A = OPTIONS.parse_args()

if os.environ.get("CELLPROBE_PEERS") != str(A.threads):
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        env[name] = str(A.threads)
    os.execve(sys.executable, [sys.executable, *sys.argv], env | {"CELLPROBE_PEERS": str(A.threads)})

import faiss, hnswlib, scann
import matplotlib
import numpy as np
from usearch.index import Index as UsearchIndex

from serve import Cellprobe

matplotlib.use("svg")
import matplotlib.pyplot as plt

K = 10
RECALLS = (0.92, 0.975)
WORK = A.data / "curves"
WORK.mkdir(exist_ok=True)
base, queries = (np.load(A.data / f"wink100n_{part}.npy") for part in ("base", "query"))
n, d = base.shape
exact = faiss.IndexFlatL2(d)
exact.add(base)
truth = exact.search(queries, K)[1]
faiss.omp_set_num_threads(A.threads)


def seconds(work):
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def kept(name, make, read, write):
    """An index that takes long to build, from a file once there is one."""
    path = str(WORK / name)
    if Path(path).exists():
        return read(path)
    print(f"building {name}", file=sys.stderr)
    index = make()
    write(index, path)
    return index


def of_cellprobe():
    for factory, rerank, nprobes, factors in (
        ("IVF256,Flat", False, (8, 16, 32, 48, 64), (None,)),
        ("IVF512,Flat", False, (12, 18, 24, 28, 32, 48, 64, 80, 96), (None,)),
        ("IVF1024,Flat", False, (16, 24, 32, 40, 48, 64, 80, 96, 112, 128), (None,)),
        *((f"IVF{nlist},PQ50x4", True, (8, 16, 32, 64, 96, 128), (4, 8, 16, 32)) for nlist in (256, 512, 1024, 2048)),
    ):
        program = Cellprobe()
        request = dict(prepare="search", factory=factory, rows=str(A.data / "wink100n_base.npy"), k=K,
                       queries=str(A.data / "wink100n_query.npy"))
        program.ask(**request, **(dict(rerank=1) if rerank else {}))
        for nprobe in nprobes:
            for factor in factors:
                def search(program=program, nprobe=nprobe, factor=factor):
                    answer = program.ask(run=True, result=True, nprobe=nprobe, rerank=factor)
                    return answer["seconds"], answer["ids"]
                yield f"{factory}{f' rerank {factor}' if factor else ''} nprobe {nprobe}", search


def of_faiss():
    def made(factory):
        index = faiss.index_factory(d, factory)
        index.train(base)
        index.add(base)
        return index
    for factory, nprobes, factors in (
        *((f"IVF{nlist},Flat", (8, 16, 32, 64, 128), (None,)) for nlist in (256, 1024)),
        *((f"IVF{nlist},PQ50x4fs,RFlat", (8, 16, 32, 64, 128), (4, 8, 16, 32)) for nlist in (256, 512, 1024, 2048)),
    ):
        index = kept(factory, lambda: made(factory), faiss.read_index, faiss.write_index)
        for nprobe in nprobes:
            for factor in factors:
                if factor:
                    inner = faiss.IVFSearchParameters(nprobe=nprobe)
                    parameters = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
                else:
                    parameters = faiss.IVFSearchParameters(nprobe=nprobe)
                def search(index=index, parameters=parameters):
                    return seconds(lambda: index.search(queries, K, params=parameters)[1])
                yield f"{factory}{f' {factor}' if factor else ''} nprobe {nprobe}", search


def of_scann():
    builder = scann.scann_ops_pybind.builder(base, K, "squared_l2")
    builder = builder.tree(num_leaves=600, num_leaves_to_search=100, training_sample_size=n)
    searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
    run = searcher.search_batched if A.threads == 1 else searcher.search_batched_parallel
    for leaves in (8, 15, 30, 50, 75, 100, 150):
        for reorder in (50, 100, 200):
            def search(leaves=leaves, reorder=reorder):
                return seconds(lambda: run(queries, leaves_to_search=leaves, pre_reorder_num_neighbors=reorder)[0])
            yield f"600 leaves, reorder {reorder}, {leaves} leaves", search


def of_usearch():
    def made():
        index = UsearchIndex(ndim=d, metric="l2sq", connectivity=16)
        index.add(np.arange(n), base)
        return index
    index = kept("usearch", made, UsearchIndex.restore, lambda index, path: index.save(path))
    for expansion in (16, 32, 64, 128, 256, 512):
        def search(expansion=expansion):
            index.expansion_search = expansion
            return seconds(lambda: index.search(queries, K, threads=A.threads).keys.astype(np.int64))
        yield f"connectivity 16, expansion {expansion}", search


def of_hnswlib():
    def made():
        index = hnswlib.Index("l2", d)
        index.init_index(n, M=16, ef_construction=200)
        index.add_items(base)
        return index
    def read(path):
        index = hnswlib.Index("l2", d)
        index.load_index(path)
        return index
    index = kept("hnswlib", made, read, lambda index, path: index.save_index(path))
    index.set_num_threads(A.threads)
    for ef in (16, 32, 64, 128, 256, 512):
        def search(ef=ef):
            index.set_ef(ef)
            return seconds(lambda: index.knn_query(queries, K)[0])
        yield f"M 16, ef {ef}", search


def recall(found):
    return np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth)])


libraries = {"cellprobe": of_cellprobe, "faiss": of_faiss, "ScaNN": of_scann, "usearch": of_usearch,
             "hnswlib": of_hnswlib}
points = [dict(library=name, setting=setting, search=search, seconds=[]) for name, of in libraries.items()
          for setting, search in of()]
for point in points:
    point["recall"] = recall(point["search"]()[1])
for rep in range(A.reps):
    for point in points:
        point["seconds"].append(point["search"]()[0])
for point in points:
    point["rate"] = len(queries) / float(np.median(point["seconds"]))

print(f"Best queries a second of {n:,} x {d} words, k = {K}, {A.threads} threads\n")
print("| library | " + " | ".join(f"recall@{K} of at least {wanted}" for wanted in RECALLS) + " |")
print("| --- |" + " --- |" * len(RECALLS))
for name in libraries:
    cells = []
    for wanted in RECALLS:
        enough = [point for point in points if point["library"] == name and point["recall"] >= wanted]
        best = max(enough, key=lambda point: point["rate"], default=None)
        cells.append(f"{best['rate']:,.0f} at {best['recall']:.3f} ({best['setting']})" if best else "none")
    print(f"| {name} | " + " | ".join(cells) + " |")

for name in libraries:
    mine = sorted((point for point in points if point["library"] == name), key=lambda point: -point["recall"])
    front, best = [], 0.0
    for point in mine:
        if point["rate"] > best:
            best = point["rate"]
            front.append(point)
    plt.plot([point["recall"] for point in front], [point["rate"] for point in front], marker=".", label=name)
plt.yscale("log")
plt.xlim(0.7, 1.0)
plt.xlabel(f"recall@{K}")
plt.ylabel("queries a second")
plt.title(f"{n:,} x {d} words, {A.threads} thread{'s' if A.threads > 1 else ''}")
plt.grid(alpha=0.3, which="both")
plt.legend()
plt.savefig(A.svg, metadata={"Date": None})
if A.json:
    A.json.write_text(json.dumps([{**point, "search": None} for point in points], indent=1))
