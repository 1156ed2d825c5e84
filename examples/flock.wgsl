// The program's own part of `flock.rs`: birds align with the birds that cellprobe found nearest to them, then fly on.

const NEIGHBORS: u32 = 8u;

@group(0) @binding(0) var<storage, read_write> places: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> headings: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> turned: array<vec4<f32>>;
// (row, key) a neighbour, nearest first: of each bird, the bird itself among them.
@group(0) @binding(3) var<storage, read> found: array<vec2<u32>>;

@compute @workgroup_size(64)
fn turn(@builtin(global_invocation_id) id: vec3<u32>) {
    let bird = id.x;
    if (bird >= arrayLength(&headings)) { return; }
    var mean = vec4<f32>(0.0);
    for (var rank = 0u; rank < NEIGHBORS; rank++) {
        mean += headings[found[bird * NEIGHBORS + rank].x];
    }
    turned[bird] = normalize(headings[bird] + mean + vec4<f32>(1e-6, 0.0, 0.0, 0.0));
}

@compute @workgroup_size(64)
fn fly(@builtin(global_invocation_id) id: vec3<u32>) {
    let bird = id.x;
    if (bird >= arrayLength(&headings)) { return; }
    headings[bird] = turned[bird];
    // The world is a unit cube without edges.
    places[bird] = fract(places[bird] + 0.01 * turned[bird]);
}
