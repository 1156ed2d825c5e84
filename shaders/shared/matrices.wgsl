// Products of SIDE rows with as many queries, both of f16, by cooperative matrices with sums of f32: a subgroup has a piece of a
// tile, 2 x 4 matrices of {{MATRIX}} x {{MATRIX}}, which go through workgroup memory, {{DEPTH}} columns at a time, and come back
// through it block after block. The includer has `base` and `packed`, and what was measured of each: see `matrices_pack`.

alias Left = coop_mat{{MATRIX}}x{{MATRIX}}<f16, A>;
alias Right = coop_mat{{MATRIX}}x{{MATRIX}}<f16, B>;
alias Block = coop_mat{{MATRIX}}x{{MATRIX}}<f32, C>;

// Fours of columns of a step, and from row to row, padded against bank conflicts.
const FOURS = {{DEPTH}}u / 4u;
const PITCH = FOURS + 2u;
const RIGHT = {{SIDE}}u * PITCH;

// Pieces of a tile: rows, then queries.
const PIECE_ROWS = 2u * {{MATRIX}}u;
const PIECE_QUERIES = 4u * {{MATRIX}}u;
const PIECES_ACROSS = {{SIDE}}u / PIECE_QUERIES;
const PIECES = {{SIDE}}u / PIECE_ROWS * PIECES_ACROSS;

// A block's products, query after query, in fours of rows, padded as well.
const BLOCK_PITCH = {{MATRIX}}u / 4u + 1u;
const BLOCK_SIZE = {{MATRIX}}u * BLOCK_PITCH;

// Eights of rows of a block's queries. A subgroup has no fewer invocations.
const EIGHTS = {{MATRIX}}u * {{MATRIX}}u / 8u;

// Fours that a thread loads of either side.
const LOADS = {{SIDE}}u * FOURS / {{THREADS}}u;

// The rows, then the queries.
var<workgroup> sides: array<vec4<f16>, 2 * {{SIDE}} * ({{DEPTH}} / 4 + 2)>;
var<workgroup> blocks: array<vec4<f32>, PIECES * BLOCK_SIZE>;

// Of the tile's rows, four each, and of the queries.
var<workgroup> row_halves: array<vec4<f32>, {{SIDE}} / 4>;
var<workgroup> row_inverses: array<vec4<f32>, {{SIDE}} / 4>;
var<workgroup> row_errors: array<vec4<f32>, {{SIDE}} / 4>;
var<workgroup> query_inverses: array<f32, {{SIDE}}>;
var<workgroup> query_errors: array<f32, {{SIDE}}>;

// What is known of eight rows of the tile.
struct Eight {
    halves: array<vec4<f32>, 2>,
    inverses: array<vec4<f32>, 2>,
    errors: array<vec4<f32>, 2>,
}

fn eight_at(eight: u32) -> Eight {
    let first = 2u * eight;
    return Eight(
        array(row_halves[first], row_halves[first + 1u]),
        array(row_inverses[first], row_inverses[first + 1u]),
        array(row_errors[first], row_errors[first + 1u]),
    );
}

// How far a query is from eight rows as products say it, from the block in a subgroup's place; and what rounding to f16 may
// have changed of it.
struct Distances {
    low: vec4<f32>,
    high: vec4<f32>,
    low_errors: vec4<f32>,
    high_errors: vec4<f32>,
}

fn distances_of(slot: u32, lane: u32, rows: Eight, query: u32) -> Distances {
    let place = slot * BLOCK_SIZE + lane % {{MATRIX}}u * BLOCK_PITCH + lane / {{MATRIX}}u * 2u;
    let inverse = query_inverses[query];
    let error = query_errors[query];
    return Distances(
        rows.halves[0] - blocks[place] * rows.inverses[0] * inverse,
        rows.halves[1] - blocks[place + 1u] * rows.inverses[1] * inverse,
        rows.errors[0] * error,
        rows.errors[1] * error,
    );
}

// naga's barrier for a subgroup names its own memory alone; drivers keep workgroup memory in order as well.
fn store_block(block: Block, slot: u32) {
    subgroupBarrier();
    coopStore(block, &blocks[slot * BLOCK_SIZE], BLOCK_PITCH);
    subgroupBarrier();
}

// Takes in what was measured of four of a tile's rows. To be followed by a barrier, as is the next.
fn open_rows(four: u32, measured: mat4x4<f32>) {
    let of_each = transpose(measured);
#if L2
    row_halves[four] = of_each[0];
#else
    // Of rows that there are not alone.
    row_halves[four] = select(vec4<f32>(), of_each[0], of_each[0] == vec4<f32>(MOST));
#endif
    row_inverses[four] = of_each[1];
    row_errors[four] = of_each[2];
}

fn open_queries(thread: u32, measured: vec4<f32>) {
    query_inverses[thread] = measured.y;
    query_errors[thread] = measured.w;
}

// What a thread loads of a step.
struct Step {
    rows: array<vec4<f16>, LOADS>,
    queries: array<vec4<f16>, LOADS>,
}

fn load_step(thread: u32, base_step: u32, query_step: u32) -> Step {
    var step: Step;
    for (var own = 0u; own < LOADS; own++) {
        let four = own * {{THREADS}}u + thread;
        step.rows[own] = base[base_step * {{SIDE}}u * FOURS + four];
        step.queries[own] = packed[query_step * {{SIDE}}u * FOURS + four];
    }
    return step;
}

// Begins and ends with a barrier.
fn store_step(thread: u32, step: Step) {
    workgroupBarrier();
    for (var own = 0u; own < LOADS; own++) {
        let four = own * {{THREADS}}u + thread;
        let place = four / FOURS * PITCH + four % FOURS;
        sides[place] = step.rows[own];
        sides[RIGHT + place] = step.queries[own];
    }
    workgroupBarrier();
}
