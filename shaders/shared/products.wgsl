// Inner products of SIDE rows on the left, as they lie in their array, with SIDE packed ones on the right: 8 x 8 of
// them a thread, {{DEPTH}} columns at a time through workgroup memory, where both lie transposed, four rows to a vec4
// and a column's vectors padded by one against bank conflicts. The includer defines left_value(place).

struct Products {
    // Left rows 8y.. with right rows 4x..
    low0: vec4<f32>,
    low1: vec4<f32>,
    low2: vec4<f32>,
    low3: vec4<f32>,
    low4: vec4<f32>,
    low5: vec4<f32>,
    low6: vec4<f32>,
    low7: vec4<f32>,
    // The same with right rows SIDE / 2 + 4x..
    high0: vec4<f32>,
    high1: vec4<f32>,
    high2: vec4<f32>,
    high3: vec4<f32>,
    high4: vec4<f32>,
    high5: vec4<f32>,
    high6: vec4<f32>,
    high7: vec4<f32>,
}

// What stands for no distance.
const MOST = 3.4028234e38;

const PITCH = {{SIDE}}u / 4u + 1u;
const RIGHT = {{DEPTH}}u * PITCH;

// The left, then the right.
var<workgroup> sides: array<vec4<f32>, 2 * {{DEPTH}} * ({{SIDE}} / 4 + 1)>;

// Where the four left rows that this thread loads begin. What lies past the last row is never used, but is there.
fn left_places(thread: u32, first: u32, rows: u32) -> vec4<u32> {
    let row = vec4<u32>(first + 4u * (thread / {{DEPTH}}u)) + vec4<u32>(0u, 1u, 2u, 3u);
    return min(row, vec4<u32>(rows - 1u)) * params.columns;
}

// Thread (x, y) of the 16 x 16. `right_tile` is the number of the right rows' tile. Holds barriers.
fn products(thread: u32, places: vec4<u32>, right_tile: u32) -> Products {
    let x = thread % 16u;
    let y = thread / 16u;
    let step = thread % {{DEPTH}}u;
    let store = step * PITCH + thread / {{DEPTH}}u;
    let depth = (params.columns + {{DEPTH}}u - 1u) / {{DEPTH}}u * {{DEPTH}}u;
    var source = right_tile * depth * ({{SIDE}}u / 4u) + thread;
    var tile: Products;
    for (var first = 0u; first < depth; first += {{DEPTH}}u) {
        // Past the last column the right is zero, so that any number will do.
        let column = select(first + step, 0u, first + step >= params.columns);
        let place = places + vec4<u32>(column);
        var values = vec4<f32>(left_value(place.x), left_value(place.y), left_value(place.z), left_value(place.w));
#if L2
        values -= vec4<f32>(centre[column]);
#endif
        sides[store] = values;
        sides[RIGHT + thread / ({{SIDE}}u / 4u) * PITCH + thread % ({{SIDE}}u / 4u)] = packed[source];
        source += {{THREADS}}u;
        workgroupBarrier();
        for (var k = 0u; k < {{DEPTH}}u; k++) {
            let a = sides[k * PITCH + 2u * y];
            let b = sides[k * PITCH + 2u * y + 1u];
            let low = sides[RIGHT + k * PITCH + x];
            let high = sides[RIGHT + k * PITCH + x + {{SIDE}}u / 8u];
            tile.low0 = fma(vec4<f32>(a.x), low, tile.low0);
            tile.low1 = fma(vec4<f32>(a.y), low, tile.low1);
            tile.low2 = fma(vec4<f32>(a.z), low, tile.low2);
            tile.low3 = fma(vec4<f32>(a.w), low, tile.low3);
            tile.low4 = fma(vec4<f32>(b.x), low, tile.low4);
            tile.low5 = fma(vec4<f32>(b.y), low, tile.low5);
            tile.low6 = fma(vec4<f32>(b.z), low, tile.low6);
            tile.low7 = fma(vec4<f32>(b.w), low, tile.low7);
            tile.high0 = fma(vec4<f32>(a.x), high, tile.high0);
            tile.high1 = fma(vec4<f32>(a.y), high, tile.high1);
            tile.high2 = fma(vec4<f32>(a.z), high, tile.high2);
            tile.high3 = fma(vec4<f32>(a.w), high, tile.high3);
            tile.high4 = fma(vec4<f32>(b.x), high, tile.high4);
            tile.high5 = fma(vec4<f32>(b.y), high, tile.high5);
            tile.high6 = fma(vec4<f32>(b.z), high, tile.high6);
            tile.high7 = fma(vec4<f32>(b.w), high, tile.high7);
        }
        workgroupBarrier();
    }
    return tile;
}
