// The distance of a query to a row by LANES invocations together, each adding up every LANES-th column.

fn exact_distance(thread: u32, lane: u32, query: u32, row: u32, exists: bool) -> f32 {
    var sum = 0.0;
    if (exists) {
        for (var column = lane; column < params.columns; column += {{LANES}}u) {
            let a = queries[query * params.columns + column];
            let b = rows[row * params.columns + column];
#if L2
            sum = fma(a - b, a - b, sum);
#else
            sum = fma(-a, b, sum);
#endif
        }
    }
    return lanes_sum(thread, sum);
}
