#!/usr/bin/env python3
"""Makes the files beside it, with faiss 1.15 and numpy: python3 make.py

Indexes behind transforms, of the rows in rows.npy, and what they find for the first 10 of them.
"""

import pathlib

import faiss
import numpy as np

FOLDER = pathlib.Path(__file__).parent
L2, IP = faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT
INDEXES = [
    ("opq_pq", "OPQ4_8,PQ4x4", L2),
    ("opq_ivfpq", "OPQ4,IVF4,PQ4x4", L2),
    ("opq_ivfpq_ip", "OPQ4_12,IVF4,PQ4x4", IP),
    ("pca_flat", "PCA6,Flat", L2),
    ("pcawr_flat", "PCAWR6,Flat", IP),
    ("pcar_ivfflat", "PCAR6,IVF4,Flat", L2),
    ("rr_flat", "RR24,Flat", L2),
    ("norm_opq_pq", "L2norm,OPQ4,PQ4x4", IP),
    ("idmap_pca_flat", "IDMap,PCA8,Flat", L2),
    ("pca_idmap_flat", "PCA8,IDMap2,Flat", L2),
]


def main():
    random = np.random.default_rng(5)
    # Correlated, away from the origin, and of different variances.
    rows = random.normal(size=(300, 16)) * (0.5 ** np.arange(16) + 0.05) @ random.normal(size=(16, 16)) + 3
    rows = rows.astype("float32")
    np.save(FOLDER / "rows.npy", rows)
    for name, factory, metric in INDEXES:
        index = faiss.index_factory(16, factory, metric)
        if name == "pca_flat":
            faiss.write_index(index, str(FOLDER / f"untrained_{name}.faiss"))
        index.train(rows)
        if "IDMap" in factory:
            index.add_with_ids(rows, 1000 - 3 * np.arange(300))
        else:
            index.add(rows)
        if "IVF" in factory:
            faiss.extract_index_ivf(index).nprobe = 4
        faiss.write_index(index, str(FOLDER / f"{name}.faiss"))
        distances, ids = index.search(rows[:10], 5)
        np.save(FOLDER / f"{name}_distances.npy", distances)
        np.save(FOLDER / f"{name}_ids.npy", ids)


if __name__ == "__main__":
    main()
