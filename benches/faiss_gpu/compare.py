#!/usr/bin/env python3
"""cellprobe on a GPU beside faiss on the same GPU, as a Markdown table.

Runs `cellprobe bench --json`, then faiss with the vectors, shapes and training that it used, and prints what faiss took
over what cellprobe took: above 1, cellprobe is the faster. Medians of several runs after one that is not counted, with
the fastest and the slowest.

On a machine with an NVIDIA GPU and its driver:

    cargo build --release
    python3 -m venv venv && venv/bin/pip install faiss-gpu numpy
    venv/bin/python benches/faiss_gpu/compare.py --size large --device gpu:nvidia

`--against cpu` compares cellprobe's CPU backend with faiss-cpu instead, on any machine. faiss's searches take their
queries from the host and give their results to it, as cellprobe's do; k-means and training begin on the host. faiss has no
product quantizer without lists and none of 4 bits on the GPU: those rows are missing there.
"""
import argparse, json, os, subprocess, sys, tempfile, time
from pathlib import Path

OPTIONS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
OPTIONS.add_argument("--size", choices=["small", "medium", "large"], default="large")
OPTIONS.add_argument("--device", default="gpu:nvidia", help="where cellprobe runs, as its --device takes it")
OPTIONS.add_argument("--against", choices=["gpu", "cpu"], default="gpu", help="which faiss")
OPTIONS.add_argument("--cellprobe", default="target/release/cellprobe", help="the command")
OPTIONS.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of --against cpu")
OPTIONS.add_argument("--json", type=Path, help="file to write the figures to")
A = OPTIONS.parse_args()

try:
    import faiss
    import numpy as np
except ImportError as error:
    sys.exit(f"compare.py needs faiss and numpy: {error}")

K = 10
ITERATIONS = 5
# Of an index's coarse quantizer, and rows a centroid, as in `cellprobe bench`.
SHORT_ITERATIONS, POINTS = 2, 39
RUNS, SECONDS = (3, 25), 0.2


def fail(reason):
    sys.exit(f"compare.py: {reason}; --against cpu compares the CPU backends")


def card():
    """The name of the GPU and of its driver."""
    if not hasattr(faiss, "StandardGpuResources"):
        fail(f"this faiss ({faiss.__version__}) has no GPU support: install faiss-gpu")
    if faiss.get_num_gpus() == 0:
        fail("faiss finds no NVIDIA GPU")
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"nvidia-smi does not name the GPU: {error}")


def cellprobe(folder):
    """What `cellprobe bench` measured, and the vectors that it did on."""
    device = A.device if A.against == "gpu" else "cpu"
    command = [A.cellprobe, "bench", "--json", "--size", A.size, "--device", device, "--vectors", folder]
    if A.against == "cpu":
        command += ["--threads", str(A.threads)]
    try:
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compare.py: {A.cellprobe} failed: {error}")
    rows, queries = (np.load(Path(folder) / f"{name}.npy") for name in ("rows", "queries"))
    return json.loads(output), rows, queries


def measure(work):
    """Seconds of the median, the fastest and the slowest run."""
    work()
    times, start = [], time.perf_counter()
    while len(times) < RUNS[0] or (len(times) < RUNS[1] and time.perf_counter() - start < SECONDS):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return float(np.median(times)), min(times), max(times)


class Peer:
    """faiss with the shapes of `cellprobe bench`: the name of each of its cases and what does the same."""

    def __init__(self, shape, rows, queries):
        self.rows, self.queries, self.shape = rows, queries, shape
        self.resources = faiss.StandardGpuResources() if A.against == "gpu" else None

    def placed(self, index):
        return faiss.index_cpu_to_gpu(self.resources, 0, index) if self.resources else index

    def empty(self, factory):
        """An index trained on the CPU for a little, as cellprobe's are."""
        index = faiss.index_factory(self.rows.shape[1], factory)
        if "IVF" in factory:
            ivf = faiss.extract_index_ivf(index)
            ivf.cp.niter, ivf.cp.max_points_per_centroid = SHORT_ITERATIONS, POINTS
            ivf.nprobe = self.shape["nprobe"]
        quantizer = getattr(index, "pq", None)
        if quantizer is not None:
            quantizer.cp.niter, quantizer.cp.max_points_per_centroid = SHORT_ITERATIONS, POINTS
        index.train(self.rows)
        return index

    def filled(self, factory):
        index = self.placed(self.empty(factory))
        index.add(self.rows)
        if "IVF" in factory:
            index.nprobe = self.shape["nprobe"]
        return index

    def searching(self, factory, queries):
        index = self.filled(factory)
        return lambda: index.search(queries, K)

    def adding(self, factory):
        trained = self.empty(factory)
        def add():
            index = self.placed(trained) if self.resources else faiss.clone_index(trained)
            index.add(self.rows)
        return add

    def building(self, factory):
        return lambda: self.filled(factory)

    def clustering(self):
        clusters = self.shape["nlist"]
        def train():
            kmeans = faiss.Kmeans(self.rows.shape[1], clusters, niter=ITERATIONS, gpu=bool(self.resources),
                                  max_points_per_centroid=1 << 30)
            kmeans.train(self.rows)
        return train

    def training(self):
        def train():
            quantizer = faiss.ProductQuantizer(self.rows.shape[1], self.shape["m"], 8)
            quantizer.cp.niter = ITERATIONS
            if self.resources:
                quantizer.assign_index = self.placed(faiss.IndexFlatL2(quantizer.dsub))
            quantizer.train(self.rows[:256 << 8])
        return train

    def cases(self):
        few = np.ascontiguousarray(self.queries[:5])
        lists, m = f"IVF{self.shape['nlist']}", self.shape["m"]
        yield "knn", lambda: self.searching("Flat", self.queries)
        yield "kmeans", self.clustering
        yield f"train PQ{m}", self.training
        yield "search Flat", lambda: self.searching("Flat", self.queries)
        yield f"search Flat, {len(few)} queries", lambda: self.searching("Flat", few)
        if not self.resources:
            yield f"search PQ{m}", lambda: self.searching(f"PQ{m}np", self.queries)
            yield f"search PQ{m}x4", lambda: self.searching(f"PQ{m}x4fs", self.queries)
        yield f"search {lists},Flat", lambda: self.searching(f"{lists},Flat", self.queries)
        yield f"search {lists},PQ{m}", lambda: self.searching(f"{lists},PQ{m}np", self.queries)
        yield f"add {lists},PQ{m}", lambda: self.adding(f"{lists},PQ{m}np")
        yield f"build {lists},PQ{m}", lambda: self.building(f"{lists},PQ{m}np")


def milliseconds(median, fastest, slowest):
    return f"{1e3 * median:.3g} ({1e3 * fastest:.3g} to {1e3 * slowest:.3g})"


def compare():
    where = card() if A.against == "gpu" else f"{A.threads} threads of the CPU"
    if A.against == "cpu":
        faiss.omp_set_num_threads(A.threads)
    with tempfile.TemporaryDirectory() as folder:
        ours, rows, queries = cellprobe(folder)
    prefix = "" if A.against == "gpu" else "cpu_"
    print(f"{where}; faiss {faiss.__version__} ({faiss.get_compile_options().strip()}); cellprobe on {ours['device']}; "
          f"{len(rows):,} x {rows.shape[1]}, {len(queries):,} queries, k = {K}, {ours['nlist']} lists of which "
          f"{ours['nprobe']} are visited\n")
    print("| work | faiss, ms | cellprobe, ms | faiss's time over ours (spread) |\n| --- | --- | --- | --- |")
    known = {row["name"]: row for row in ours["results"]}
    figures = []
    for name, make in Peer(ours, rows, queries).cases():
        row = known[name]
        theirs = measure(make())
        mine = row[f"{prefix}seconds"], *row[f"{prefix}spread"]
        ratio, low, high = theirs[0] / mine[0], theirs[1] / mine[2], theirs[2] / mine[1]
        print(f"| {name} | {milliseconds(*theirs)} | {milliseconds(*mine)} | {ratio:.2f} ({low:.2f} to {high:.2f}) |",
              flush=True)
        figures.append(dict(name=name, faiss=theirs, cellprobe=mine, ratio=ratio, spread=(low, high)))
    if A.json:
        A.json.write_text(json.dumps(dict(where=where, size=A.size, rows=figures), indent=1))


compare()
