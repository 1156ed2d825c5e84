// New centroids from the sums of their rows. First one workgroup counts the empty clusters and finds, in order, which cluster
// each of them splits, some a dispatch: that leaves for every cluster whose mean it has and by what that is multiplied. Then
// all centroids are written. Several clusterings, the sub-quantizers', follow each other, with a workgroup each; HISTORY: one
// that tells how it went.

struct Cluster {
    // The cluster whose mean this one has.
    origin: u32,
    size: f32,
    // What the mean is multiplied by in even and in odd columns.
    even: f32,
    odd: f32,
}

@group(0) @binding(1) var<storage, read> offsets: array<u32>;
#if HISTORY
@group(0) @binding(2) var<storage, read> inertia: array<f32>;
@group(0) @binding(4) var<storage, read> history: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> new_history: array<vec2<f32>>;
#endif
@group(0) @binding(3) var<storage, read> draws: array<f32>;
@group(0) @binding(6) var<storage, read_write> clusters: array<Cluster>;
@group(0) @binding(7) var<storage, read> sums: array<f32>;
@group(0) @binding(8) var<storage, read_write> centroids: array<f32>;
// Of each clustering: empty clusters that are left, where to look for the next, and its first draw.
@group(0) @binding(9) var<storage, read_write> progress: array<vec4<u32>>;

#include lanes

const NONE = 0xffffffffu;
const THREADS = {{THREADS}}u;
// Candidates that a thread looks at between two barriers.
const TRIES = {{TRIES}}u;
const SPLIT = 1.0 / 1024.0;

#if HISTORY
var<workgroup> objectives: array<f32, THREADS>;
#endif
var<workgroup> empties: array<u32, THREADS>;
var<workgroup> least: atomic<u32>;
var<workgroup> answer: u32;
var<workgroup> all_rows: u32;
var<workgroup> begun: vec4<u32>;

fn rows_of(cluster: u32) -> u32 {
    let start = offsets[cluster];
    return max(start, offsets[cluster + 1u]) - start;
}

// The smallest `value` of the workgroup. Holds barriers.
fn smallest(thread: u32, value: u32) -> u32 {
    if value != NONE {
        atomicMin(&least, value);
    }
    workgroupBarrier();
    if thread == 0u {
        answer = atomicExchange(&least, NONE);
    }
    return workgroupUniformLoad(&answer);
}

// The first empty cluster from `cluster` on, of those that begin with `base`.
fn next_empty(thread: u32, base: u32, cluster: u32) -> u32 {
    var found = NONE;
    for (var first = cluster; first < params.clusters && found == NONE; first += THREADS * TRIES) {
        var mine = NONE;
        for (var i = TRIES; i > 0u; i--) {
            let candidate = first + (i - 1u) * THREADS + thread;
            if candidate < params.clusters && rows_of(base + candidate) == 0u {
                mine = candidate;
            }
        }
        found = smallest(thread, mine);
    }
    return found;
}

// The first try, from draw `first_draw` on and round and round the clusters, whose draw is below the cluster's share.
fn first_hit(thread: u32, base: u32, first_draw: u32) -> u32 {
    let rows = workgroupUniformLoad(&all_rows);
    let tries = select(0u, params.tries, rows > params.clusters);
    let spare = f32(rows - params.clusters);
    var found = NONE;
    for (var first = 0u; first < tries && found == NONE; first += THREADS * TRIES) {
        var mine = NONE;
        for (var i = TRIES; i > 0u; i--) {
            let candidate = first + (i - 1u) * THREADS + thread;
            if candidate < tries {
                let draw = draws[(first_draw + candidate) % params.draws];
                if draw < (clusters[base + candidate % params.clusters].size - 1.0) / spare {
                    mine = candidate;
                }
            }
        }
        found = smallest(thread, mine);
    }
    return found;
}

// The largest cluster, the first among equals.
fn largest(thread: u32, base: u32) -> u32 {
    var best = thread;
    var size = -1.0;
    for (var cluster = thread; cluster < params.clusters; cluster += THREADS) {
        if clusters[base + cluster].size > size {
            best = cluster;
            size = clusters[base + cluster].size;
        }
    }
    // Sizes are not negative, so they order as their bits do.
    let most = ~smallest(thread, ~bitcast<u32>(max(size, 0.0)));
    return smallest(thread, select(NONE, best, size >= 0.0 && bitcast<u32>(size) == most));
}

@compute @workgroup_size({{THREADS}})
fn count(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let part = workgroup_number(id, width);
    if part >= params.parts {
        return;
    }
    let base = part * params.clusters;
    var empty = 0u;
#if HISTORY
    var objective = 0.0;
#endif
    for (var cluster = thread; cluster < params.clusters; cluster += THREADS) {
        let size = rows_of(base + cluster);
        clusters[base + cluster] = Cluster(base + cluster, f32(size), 1.0, 1.0);
        empty += u32(size == 0u);
#if HISTORY
        objective += inertia[cluster];
#endif
    }
    empties[thread] = empty;
#if HISTORY
    objectives[thread] = objective;
    for (var row = thread; row < params.history; row += THREADS) {
        new_history[row] = history[row];
    }
#endif
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if thread < reach {
            empties[thread] += empties[thread + reach];
#if HISTORY
            objectives[thread] += objectives[thread + reach];
#endif
        }
    }
    if thread == 0u {
        progress[part] = vec4(empties[0], 0u, 0u, 0u);
#if HISTORY
        new_history[params.history] = vec2(objectives[0], f32(empties[0]));
#endif
    }
}

@compute @workgroup_size({{THREADS}})
fn split(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let part = workgroup_number(id, width);
    if part >= params.parts {
        return;
    }
    let base = part * params.clusters;
    if thread == 0u {
        atomicStore(&least, NONE);
        all_rows = offsets[base + params.clusters] - offsets[base];
        begun = progress[part];
    }
    let before = workgroupUniformLoad(&begun);
    let splits = min(before.x, {{SPLITS}}u);
    var cluster = before.y;
    var first_draw = before.z;
    for (var i = 0u; i < splits; i++) {
        storageBarrier();
        cluster = next_empty(thread, base, cluster);
        let hit = first_hit(thread, base, first_draw);
        var donor = 0u;
        if hit == NONE {
            donor = largest(thread, base);
        } else {
            donor = hit % params.clusters;
            first_draw = (first_draw + hit + 1u) % params.draws;
        }
        if thread == 0u {
            let whole = clusters[base + donor];
            let half = whole.size / 2.0;
            clusters[base + cluster] =
                Cluster(whole.origin, half, whole.even * (1.0 + SPLIT), whole.odd * (1.0 - SPLIT));
            clusters[base + donor] =
                Cluster(whole.origin, whole.size - half, whole.even * (1.0 - SPLIT), whole.odd * (1.0 + SPLIT));
        }
        cluster += 1u;
    }
    if thread == 0u {
        progress[part] = vec4(before.x - splits, cluster, first_draw, 0u);
    }
}

// A number of the mean that a cluster has.
fn value(cluster: Cluster, row: u32, size: f32, column: u32) -> f32 {
    return sums[row * params.columns + column] / size * select(cluster.even, cluster.odd, column % 2u == 1u);
}

@compute @workgroup_size({{THREADS}})
fn means(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
#if SUBGROUPS
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
    @builtin(subgroup_size) subgroup_size: u32,
#endif
) {
#if SUBGROUPS
    let here = place(thread, subgroup, invocation, subgroup_size);
#else
    let here = place(thread);
#endif
    let row = workgroup_number(id, width) * (THREADS / {{LANES}}u) + here.row;
    var exists = row < params.output_rows;
    var cluster = Cluster(0u, 0.0, 0.0, 0.0);
    if exists {
        cluster = clusters[params.first_output + row];
    }
    // Sums in another buffer are another dispatch's.
    let source = cluster.origin - params.first_source;
    exists = exists && source < params.source_rows;
    var size = 1.0;
    if exists {
        size = max(f32(rows_of(cluster.origin)), 1.0);
    }
    var scale = 1.0;
#if SPHERICAL
    var squares = 0.0;
    if exists {
        for (var column = here.lane; column < params.columns; column += {{LANES}}u) {
            let number = value(cluster, source, size, column);
            squares += number * number;
        }
    }
    squares = lanes_sum(thread, squares);
    if squares > 0.0 {
        scale = 1.0 / sqrt(squares);
    }
#endif
    if exists {
        for (var column = here.lane; column < params.columns; column += {{LANES}}u) {
            centroids[row * params.columns + column] = value(cluster, source, size, column) * scale;
        }
    }
}
