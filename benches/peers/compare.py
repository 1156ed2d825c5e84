#!/usr/bin/env python3
"""cellprobe's CPU backend beside faiss-cpu, alternating, as a Markdown table: see README.md."""
import argparse, json, os, subprocess, sys, time
from pathlib import Path

OPTIONS = argparse.ArgumentParser(description=__doc__)
OPTIONS.add_argument("--data", type=Path, required=True, help="folder that data.py filled")
OPTIONS.add_argument("--threads", type=int, default=1)
OPTIONS.add_argument("--rows", default="", help="only rows whose names contain one of these, separated by commas")
OPTIONS.add_argument("--reps", type=int, default=5)
OPTIONS.add_argument("--json", type=Path, help="file to append each row to")
A = OPTIONS.parse_args()

# Thread counts and kernels of OpenBLAS and OpenMP are settled when they are loaded.
if os.environ.get("CELLPROBE_PEERS") != str(A.threads):
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        env[name] = str(A.threads)
    os.execve(sys.executable, [sys.executable, *sys.argv], env | {"CELLPROBE_PEERS": str(A.threads)})

import faiss
import numpy as np

from serve import Cellprobe

faiss.omp_set_num_threads(A.threads)
WORK = A.data / "compare"
WORK.mkdir(exist_ok=True)


def saved(name, rows):
    path = WORK / f"{name}.npy"
    np.save(path, np.ascontiguousarray(rows, np.float32))
    return str(path)


def words(n=None, d=100):
    """Unit word vectors; columns past their 100 are a little noise, so that any M divides the dimension."""
    base, queries = (np.load(A.data / f"wink100n_{part}.npy") for part in ("base", "query"))
    random = np.random.default_rng(0)
    wide = lambda rows: np.hstack([rows, 0.02 * random.standard_normal((len(rows), max(d - 100, 0)), np.float32)])
    return wide(base[:n]).astype(np.float32)[:, :d], wide(queries[:1000]).astype(np.float32)[:, :d]


def images():
    """Fashion-MNIST, or a mixture of the same size where it is missing."""
    if (A.data / "fmnist784_base.npy").exists():
        return "Fashion-MNIST", *(np.load(A.data / f"fmnist784_{part}.npy") for part in ("base", "query"))
    random = np.random.default_rng(0)
    centres, basis = random.standard_normal((50, 784), np.float32), random.standard_normal((30, 784), np.float32)
    rows = lambda n: centres[random.integers(50, size=n)] + 0.5 * random.standard_normal((n, 30), np.float32) @ basis
    return "a mixture", rows(60_000), rows(1_000)


def recall(found, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth)])


# OpenMP's threads spin for a while after their work, in the way of whoever comes next.
PAUSE = 0.3


def seconds(work):
    time.sleep(PAUSE)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def forced_blas(work):
    """`work` with faiss's distances by BLAS, whatever the number of queries."""
    def forced():
        before = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = 1
        try:
            return work()
        finally:
            faiss.cvar.distance_compute_blas_threshold = before
    return forced


def row(name, target, request, peers, note=lambda answer: ""):
    """Times cellprobe on `request` and each of `peers` in turn, and prints what the better peer took over what
    cellprobe took."""
    if A.rows and not any(part in name for part in A.rows.split(",")):
        return
    ours.ask(**request())
    peers = peers()
    answer = ours.ask(run=True, result=True)
    [peer() for peer in peers]
    pairs = []
    while len(pairs) < A.reps:
        theirs = [seconds(peer) for peer in peers]
        time.sleep(PAUSE)
        pairs.append((theirs, ours.ask(run=True)["seconds"]))
    best = min(range(len(peers)), key=lambda peer: np.median([theirs[peer] for theirs, _ in pairs]))
    ratios = sorted(theirs[best] / mine for theirs, mine in pairs)
    ratio, theirs = np.median(ratios), np.median([theirs[best] for theirs, _ in pairs])
    mine = np.median([mine for _, mine in pairs])
    print(f"| {name} | {A.threads} | {theirs:.4g} s | {mine:.4g} s | {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
          f" | {target} | {'hit' if ratio >= target else 'miss'} | {note(answer)} |", flush=True)
    if A.json:
        with A.json.open("a") as file:
            line = dict(row=name, threads=A.threads, faiss=theirs, cellprobe=mine, ratios=ratios, target=target)
            print(json.dumps(line), file=file)


def faiss_index(name, factory, rows):
    """The index, trained and filled by faiss once; both read the file."""
    path = WORK / f"{name}.index"
    if not path.exists():
        index = faiss.index_factory(rows.shape[1], factory)
        index.train(rows)
        index.add(rows)
        faiss.write_index(index, str(path))
    return str(path)


def exact(title, base, queries, count, k, target):
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    queries = np.ascontiguousarray(queries[:count])
    search = lambda: index.search(queries, k)
    request = lambda: dict(prepare="search", factory="Flat", rows=saved("base", base),
                           queries=saved("queries", queries), k=k)
    note = lambda answer: f"recall of faiss's {recall(answer['ids'], search()[1]):.4f}"
    row(f"exact kNN, {title}, {count} queries, k = {k}", target, request, lambda: [search, forced_blas(search)], note)


def probing(title, path, base, queries, truth, nprobe, target):
    def peers():
        index = faiss.read_index(path)
        index.nprobe = nprobe
        peers.index = index
        return [lambda: index.search(queries, 10)]
    def note(answer):
        theirs = recall(peers.index.search(queries, 10)[1], truth())
        return f"recall@10 {recall(answer['ids'], truth()):.4f}, faiss {theirs:.4f}"
    request = lambda: dict(prepare="search", index=path, queries=saved("queries", queries), k=10, nprobe=nprobe)
    row(f"{title}, nprobe {nprobe}", target, request, peers, note)


def filtered(title, path, queries, percent, nprobe=None):
    """Searches for which so many of a hundred rows are accepted; faiss has them as a bitmap."""
    def search():
        if not hasattr(search, "index"):
            search.index = faiss.read_index(path)
            accepted = np.arange(search.index.ntotal) % 100 < percent
            search.bits = np.packbits(accepted, bitorder="little")
            search.selector = faiss.IDSelectorBitmap(search.bits)
            parameters = dict(sel=search.selector)
            search.parameters = (faiss.SearchParametersIVF(nprobe=nprobe, **parameters) if nprobe
                                 else faiss.SearchParameters(**parameters))
        return search.index.search(queries, 10, params=search.parameters)
    request = lambda: dict(prepare="search", index=path, queries=saved("queries", queries), k=10, accept=percent,
                           **(dict(nprobe=nprobe) if nprobe else {}))
    note = lambda answer: f"recall of faiss's {recall(answer['ids'], search()[1]):.4f}"
    row(f"{title}, {percent} % accepted", 1, request, lambda: [search], note)


def clustering(base, k, iterations):
    start = np.ascontiguousarray(base[np.random.default_rng(1).permutation(len(base))[:k]])
    def train():
        kmeans = faiss.Kmeans(base.shape[1], k, niter=iterations, max_points_per_centroid=1 << 30)
        kmeans.train(base, init_centroids=start)
        index = faiss.IndexFlatL2(base.shape[1])
        index.add(kmeans.centroids)
        train.centroids = index
    def note(answer):
        theirs = train.centroids.search(base, 1)[0].sum()
        return f"objective {answer['objective']:.6g}, faiss {theirs:.6g}"
    request = lambda: dict(prepare="kmeans", rows=saved("base", base), start=saved("start", start),
                           iterations=iterations)
    row(f"k-means, {len(base)} x {base.shape[1]}, {k} centroids, {iterations} iterations", 2, request,
        lambda: [train], note)


def training(title, base, m):
    request = lambda: dict(prepare="train", rows=saved("base", base), m=m, nbits=8)
    train = lambda: faiss.ProductQuantizer(base.shape[1], m, 8).train(base)
    row(f"PQ train, {len(base)} x {base.shape[1]} of {title}, M = {m}", 2, request, lambda: [train])


def encoding(title, base, m):
    def peers():
        quantizer = faiss.ProductQuantizer(base.shape[1], m, 8)
        quantizer.train(base[:20_000])
        return [lambda: quantizer.compute_codes(base)]
    request = lambda: dict(prepare="encode", rows=saved("base", base), m=m, nbits=8)
    row(f"PQ encode, {len(base)} x {base.shape[1]} of {title}, M = {m}", 4, request, peers)


def rotating(title, base):
    d = base.shape[1]
    transform = faiss.RandomRotationMatrix(d, d)
    transform.init(1)
    matrix = faiss.vector_to_array(transform.A).reshape(d, d)
    request = lambda: dict(prepare="rotate", rows=saved("base", base), matrix=saved("matrix", matrix))
    row(f"rotate {len(base)} x {d} of {title}", 1, request, lambda: [lambda: transform.apply(base)])


def turning(title, base, m):
    """OPQ; the note is what product quantizers lose behind cellprobe's matrix, of what they lose behind faiss's."""
    d = base.shape[1]
    train = lambda: faiss.OPQMatrix(d, m).train(base)

    def loss(matrix):
        turned = np.ascontiguousarray(base @ matrix.T)
        quantizer = faiss.ProductQuantizer(d, m, 8)
        quantizer.train(turned)
        return np.square(quantizer.decode(quantizer.compute_codes(turned)) - turned).sum()

    def note(answer):
        theirs = faiss.OPQMatrix(d, m)
        theirs.train(base)
        matrices = (np.array(answer["matrix"], np.float32), faiss.vector_to_array(theirs.A), np.eye(d, dtype=np.float32))
        mine, theirs, without = (loss(matrix.reshape(d, d)) for matrix in matrices)
        return f"loses {mine / theirs:.4f} of faiss's loss, {mine / without:.4f} of that without"
    request = lambda: dict(prepare="opq", rows=saved("base", base), m=m)
    row(f"OPQ train, {len(base)} x {d} of {title}, M = {m}", 2, request, lambda: [train], note)


def scanning(m, nbits, count, target):
    base, queries = words(100_000, 128)
    queries = queries[:count]
    path = faiss_index(f"PQ{m}x{nbits}", f"PQ{m}x{nbits}np", base)
    def peers():
        index = faiss.read_index(path)
        index = faiss.IndexPQFastScan(index) if nbits == 4 else index
        return [lambda: index.search(queries, 10)]
    request = lambda: dict(prepare="search", index=path, queries=saved("queries", queries), k=10)
    row(f"PQ scan, {nbits} bits, M = {m}, {count} queries x 100,000 codes", target, request, peers)


def resident(process):
    """Bytes of memory that a process has."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


# What was freed goes back to the system at once, so that what is left is what the index takes.
TRIMMED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}

FAISS_MEMORY = """
import faiss, os, sys
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
index = faiss.read_index(sys.argv[1])
print(resident() - before)
"""


def memory(m, d):
    """What an index of a million codes takes in memory: each library reads it in a process of its own."""
    name = f"memory of IVF1024,PQ{m} of 1,018,437 codes"
    if A.rows and not any(part in name for part in A.rows.split(",")):
        return
    base, queries = words(d=d)
    path = WORK / f"memory{m}.index"
    if not path.exists():
        index = faiss.index_factory(d, f"IVF1024,PQ{m}")
        index.train(base[:65_536])
        [index.add(base) for _ in range(3)]
        faiss.write_index(index, str(path))
    command = [sys.executable, "-c", FAISS_MEMORY, path]
    theirs = int(subprocess.run(command, env=os.environ | TRIMMED, stdout=subprocess.PIPE, check=True).stdout)
    program = Cellprobe(os.environ | TRIMMED)
    nothing = dict(prepare="search", factory="Flat", rows=saved("few", base[:9]), queries=saved("few", base[:9]), k=1)
    program.ask(**nothing)
    before = resident(program.process.pid)
    program.ask(prepare="search", index=str(path), queries=saved("few", base[:9]), k=1, nprobe=1)
    mine = resident(program.process.pid) - before
    program.process.kill()
    rows = 3 * len(base)
    wanted = (m + 8) * 1.05
    print(f"| {name} | {A.threads} | {theirs / rows:.1f} B a vector | {mine / rows:.1f} B a vector | {theirs / mine:.2f}"
          f" | at most {wanted:.1f} B | {'hit' if mine / rows <= wanted else 'miss'} | {m} of code, 8 of id |", flush=True)


def machine():
    a = np.random.default_rng(0).standard_normal((1536, 1536), np.float32)
    rate = 2 * 1536**3 / min(seconds(lambda: a @ a) for _ in range(7)) / 1e9
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{model}, {os.cpu_count()} cores; faiss {faiss.__version__} ({faiss.get_compile_options().strip()}); "
          f"numpy's sgemm {rate:.0f} GFLOP/s on {A.threads} threads\n")


machine()
print("| work | threads | faiss | cellprobe | faiss's time over ours (spread) | wanted | | |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
ours = Cellprobe()
base, queries = words()
name, pictures, picture_queries = images()
for k in (10, 100):
    exact(f"60,000 x 784 of {name}", pictures, picture_queries, 1000, k, 1.05)
    exact("100,000 x 100 of words", base[:100_000], queries, 1000, k, 1.25)
exact(f"60,000 x 784 of {name}", pictures, picture_queries, 5, 10, 2)
exact("100,000 x 100 of words", base[:100_000], queries, 5, 10, 2)
clustering(base[:100_000], 1024, 20)


for title, rows, m in (("words", base[:65_536], 25), (name, pictures, 16)):
    training(title, rows, m)
for title, rows, m in (("words", base[:100_000], 25), ("words", words(100_000, 128)[0], 16), (name, pictures, 16)):
    encoding(title, rows, m)
for title, rows, m in (("words", base[:10_000], 25), (name, pictures[:5000], 16)):
    turning(title, rows, m)
rotating("words", base[:100_000])
rotating(name, pictures)
for m in (16, 32):
    scanning(m, 8, 100, 2)
for m in (16, 32, 64):
    scanning(m, 4, 1000, 1.2)


def truth():
    if not hasattr(truth, "ids"):
        index = faiss.IndexFlatL2(base.shape[1])
        index.add(base)
        truth.ids = index.search(queries, 10)[1]
    return truth.ids


for nprobe in (16, 64):
    probing("IVF256,Flat, 339,479 words", faiss_index("ivf256", "IVF256,Flat", base), base, queries, truth, nprobe, 4)
for nprobe in (16, 64):
    probing("IVF1024,PQ25, 339,479 words", faiss_index("ivfpq", "IVF1024,PQ25", base), base, queries, truth, nprobe, 2)


for percent in (50, 1):
    filtered("exact kNN, 100,000 x 100 of words, 1000 queries, k = 10", faiss_index("flat", "Flat", base[:100_000]),
             queries, percent)
    filtered("IVF256,Flat, 339,479 words, nprobe 16", faiss_index("ivf256", "IVF256,Flat", base), queries, percent, 16)
    filtered("IVF1024,PQ25, 339,479 words, nprobe 16", faiss_index("ivfpq", "IVF1024,PQ25", base), queries, percent, 16)


def build_index():
    index = faiss.index_factory(100, "IVF1024,PQ25")
    index.train(base)
    index.add(base)


row("build IVF1024,PQ25 of 339,479 words", 2,
    lambda: dict(prepare="build", rows=saved("base", base), factory="IVF1024,PQ25"), lambda: [build_index])
for m, d in ((25, 100), (32, 128), (64, 128)):
    memory(m, d)
