// Rows to be looked at again: the workgroups that it takes, TILE rows each, as an indirect dispatch takes them; how many
// rows they are; four words that `knn_doubt` plans with; and which rows.

@group(0) @binding(6) var<storage, read_write> listed: array<atomic<u32>>;

fn list_row(row: u32) {
    let slot = atomicAdd(&listed[3], 1u);
    atomicStore(&listed[8u + slot], row);
    if (slot % {{TILE}}u == 0u) {
        atomicAdd(&listed[0], 1u);
        atomicStore(&listed[1], 1u);
        atomicStore(&listed[2], 1u);
    }
}
