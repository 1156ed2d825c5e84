// Which queries' neighbours are not certain after products chose the candidates: `doubt` lists them, `plan` shares
// the work of looking at them again out over slabs of the base.

#if PLAN
@group(0) @binding(1) var<storage, read_write> plan: array<u32>;

@compute @workgroup_size(1)
fn share_out() {
    let tiles = plan[0];
    let count = plan[3];
    let slabs = clamp(params.most_groups / max(tiles, 1u), 1u, params.most_slabs);
    let widest = params.widest;
    // The tiles' slabs, then the queries, in rows of workgroups.
    plan[0] = min(tiles * slabs, widest);
    plan[1] = (tiles * slabs + widest - 1u) / widest;
    plan[4] = min(count, widest);
    plan[5] = (count + widest - 1u) / widest;
    plan[6] = 1u;
    plan[7] = slabs;
}
#else
@group(0) @binding(1) var<storage, read> kept: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> found: array<vec2<u32>>;
#if MATRICES
@group(0) @binding(3) var<storage, read> halves: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read> halves: array<f32>;
#endif
@group(0) @binding(4) var<storage, read> reach: f32;

#include ranked
#include listed
#include doubt

@compute @workgroup_size({{THREADS}})
fn doubt(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let query = workgroup_number(group, groups) * {{THREADS}}u + thread;
    if (query >= params.queries) { return; }
    let last_kept = kept[(params.kept_place + query + 1u) * params.keep - 1u];
    if (is_none(last_kept)) {
        // Every row was kept, or something is no number.
        if (params.rows >= params.keep) { list_row(query); }
        return;
    }
    let last = distance_of(found[(params.found_place + query + 1u) * params.k - 1u]);
#if MATRICES
    let half = halves[params.halves_place + query].x;
#else
    let half = halves[params.halves_place + query];
#endif
    let norm = sqrt(2.0 * half);
#if MATRICES
    // What f16 may change is off the distances. Matrices' sums are rounded towards zero, terms before that as well.
    let products = 4.0 * chain_error(norm, reach);
#else
    let products = chain_error(norm, reach);
#endif
    // Rows that were not kept are no nearer than the last that was.
#if L2
    // Differences round `columns` times.
    let rounding = products + halves_error(norm, reach) + 1.02 * UNIT * (f32(params.columns) + 8.0) * last;
    let certain = 0.5 * last + rounding < distance_of(last_kept) + half;
#else
    // So do the products of f32 that are found.
    let certain = last + products + chain_error(norm, reach) < distance_of(last_kept);
#endif
    if (!is_moderate(norm, reach) || !certain) {
        list_row(query);
    }
}
#endif
