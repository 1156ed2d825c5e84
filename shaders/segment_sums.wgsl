// Sums of groups of rows. The sorted positions are cut into blocks of one length, so that a large group costs no more
// time than many small ones. What lies wholly within a block is added to its group's sum at once; the run that a block
// shares with the one before it and the run that it shares with the one after it become its two partial sums. Those
// are the rows of the next level, twice as many as there were blocks, in the same order, until one block has them all.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

const THREADS = {{THREADS}}u;
const BLOCK = {{BLOCK}}u;

// Where `group` begins at this level: partial sum 2b is of the run that block b shares with the one before it,
// 2b + 1 of the one that it shares with the one after it.
fn start_of(group: u32) -> u32 {
    var position = offsets[group];
    for (var level = 0u; level < params.level; level++) {
        position = position / BLOCK + (position + BLOCK - 1u) / BLOCK;
    }
    return position;
}

// The group of `position`, among those from params.first_group on.
fn group_of(position: u32) -> u32 {
    var low = params.first_group;
    var high = params.first_group + params.groups;
    while high - low > 1u {
        let middle = low + (high - low) / 2u;
        if start_of(middle) <= position {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// The first of the positions of one group from `low` to `high` whose row is not before `row`: rows of a group ascend.
fn position_of(row: u32, low: u32, high: u32) -> u32 {
#if ORDERED
    var first = low;
    var end = high;
    while first < end {
        let middle = first + (end - first) / 2u;
        if order[middle] < row {
            first = middle + 1u;
        } else {
            end = middle;
        }
    }
    return first;
#else
    return clamp(row, low, high);
#endif
}

// A number of the row at `position`, which is in this buffer.
fn load(position: u32, column: u32) -> f32 {
#if ORDERED
    let row = order[position] - params.first_row;
#else
    let row = position - params.first_row;
#endif
    return rows[row * params.columns + column];
}

@compute @workgroup_size({{THREADS}})
fn segment_sums(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) width: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Neighbouring lanes have neighbouring columns; what is left of a workgroup has further blocks.
    let tile = workgroup_number(id, width);
    let tiles = (params.columns + params.lanes - 1u) / params.lanes;
    let column = tile % tiles * params.lanes + thread % params.lanes;
    let slot = tile / tiles * (THREADS / params.lanes) + thread / params.lanes;
    if column >= params.columns || slot >= params.blocks {
        return;
    }
    let start = (params.first_block + slot) * BLOCK;
    let end = min(start + BLOCK, params.length);
    let last = min(end, start_of(params.first_group + params.groups));
    var position = max(start, start_of(params.first_group));
    if position >= last {
        return;
    }
    var group = group_of(position);
    var group_start = start_of(group);
    loop {
        let group_end = start_of(group + 1u);
        // A run has a row at least: the loop ends whatever the offsets are.
        let run_end = max(min(group_end, last), position + 1u);
        let before = group_start < start;
        let shared_run = before || group_end > end;
        let place = select(
            (group - params.first_group) * params.columns + column,
            (2u * slot + select(1u, 0u, before)) * params.columns + column,
            shared_run,
        );
        // Rows before these may be in other buffers: additions go on where they ended, in one order however rows lie.
        var sum: f32;
        if shared_run {
            sum = partials[place];
        } else {
            sum = sums[place];
        }
        var here_end = run_end;
        if params.rows < params.length {
            position = position_of(params.first_row, position, run_end);
            here_end = position_of(params.first_row + params.rows, position, run_end);
        }
        // The loads of eight rows are under way together, or of four.
        for (; here_end - position >= 8u; position += 8u) {
            let a = load(position, column);
            let b = load(position + 1u, column);
            let c = load(position + 2u, column);
            let d = load(position + 3u, column);
            let e = load(position + 4u, column);
            let f = load(position + 5u, column);
            let g = load(position + 6u, column);
            let h = load(position + 7u, column);
            sum = sum + a + b + c + d + e + f + g + h;
        }
        if here_end - position >= 4u {
            let a = load(position, column);
            let b = load(position + 1u, column);
            let c = load(position + 2u, column);
            let d = load(position + 3u, column);
            sum = sum + a + b + c + d;
            position += 4u;
        }
        for (; position < here_end; position++) {
            sum += load(position, column);
        }
        if shared_run {
            partials[place] = sum;
        } else {
            sums[place] = sum;
        }
        position = run_end;
        if position >= last {
            break;
        }
        group = min(group + 1u, params.first_group + params.groups - 1u);
        if start_of(group + 1u) <= position {
            group = group_of(position);
        }
        group_start = position;
    }
}
