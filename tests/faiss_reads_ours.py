#!/usr/bin/env python3
"""faiss reads what this crate writes, writes the same bytes itself and finds the same neighbours.

Run from the repository's root, with faiss and numpy installed: python3 tests/faiss_reads_ours.py
"""

import os
import pathlib
import subprocess
import tempfile

import faiss
import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden" / "index"


def expected(stem):
    """The index that a file of that name should hold, made by faiss, and what must stay alive beside it."""
    if stem == "fast_scan_of_pq_m8n4_l2":
        return faiss.read_index(str(GOLDEN / "pqfs_m8n4_l2.faiss")), None
    for prefix in ("idmap_of_", "idmap2_of_", "normalized_"):
        if stem.startswith(prefix):
            inner = faiss.read_index(str(GOLDEN / f"{stem.removeprefix(prefix)}.faiss"))
            if prefix == "normalized_":
                transform = faiss.NormalizationTransform(inner.d, 2.0)
                wrapper = faiss.IndexPreTransform(transform, inner)
                wrapper.ntotal = inner.ntotal
                return wrapper, (inner, transform)
            empty = faiss.clone_index(inner)
            empty.reset()
            wrapper = (faiss.IndexIDMap if prefix == "idmap_of_" else faiss.IndexIDMap2)(empty)
            faiss.copy_array_to_vector(3 * np.arange(inner.ntotal, dtype="int64") + 5, wrapper.id_map)
            wrapper.index = inner
            wrapper.ntotal = inner.ntotal
            if prefix == "idmap2_of_":
                wrapper.construct_rev_map()
            return wrapper, (inner, empty)
    return faiss.read_index(str(GOLDEN / f"{stem}.faiss")), None


def main():
    queries = np.random.default_rng(0).standard_normal((20, 32)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["cargo", "test", "-q", "--test", "faiss_files", "write_files_for_faiss", "--", "--ignored"],
            env=os.environ | {"CELLPROBE_FAISS_FILES": folder},
            check=True,
        )
        files = sorted(pathlib.Path(folder).iterdir())
        assert len(files) == 61, len(files)
        for file in files:
            ours = faiss.read_index(str(file))
            reference, _alive = expected(file.stem)
            assert faiss.serialize_index(reference).tobytes() == file.read_bytes(), file.stem
            for ours_part, reference_part in zip(ours.search(queries, 10), reference.search(queries, 10)):
                assert np.array_equal(ours_part, reference_part), file.stem
            print("ok", file.stem)


if __name__ == "__main__":
    main()
