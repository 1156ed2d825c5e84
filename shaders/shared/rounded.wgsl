// What the distance of a row to a query is no less than, by their integers alone: rounding took away from each a vector of
// which the norm is known. A record is a vector's unit, the squared norm of what its integers stand for, no less than the
// norm of what was taken away, and the norm.

const UNIT = 5.9604645e-8;

// The norm of what was taken away where integers stand for nothing.
const UNKNOWN = 1.0e18;

// Of the inner product of the integers. What the distance is computed as, in f32, is no less either: a sum of `columns`
// terms is off by as many parts in 2^24 (Higham 2002, section 3.1), and so are norms and products here. Tiny terms may be
// flushed to zero.
fn least_distance(row: vec4<f32>, query: vec4<f32>, product: f32) -> f32 {
    let columns = f32(params.columns);
    let tiny = columns * 1.0e-37;
#if L2
    let squares = row.y + query.y;
    let rounding = 1.02 * UNIT * (columns / 32.0 + 80.0) * squares;
    let square = squares - 2.0 * (row.x * query.x * product) - rounding;
    // Triangle inequality.
    let least = max(0.99999 * sqrt(max(square, 0.0)) - (row.z + query.z), 0.0);
    let distance = least * least * (1.0 - 1.02 * UNIT * (columns + 8.0)) - tiny;
    let lowest = -tiny;
#else
    // Cauchy-Schwarz.
    let norms = (row.w + row.z) * (query.w + query.z);
    let away = row.z * (query.w + query.z) + row.w * query.z;
    let rounding = 1.02 * UNIT * (columns + 64.0) * norms;
    let distance = -(row.x * query.x * product) - 1.00001 * away - rounding - tiny;
    let lowest = -3.4028234e38;
#endif
    return select(distance, lowest, row.z >= UNKNOWN || query.z >= UNKNOWN);
}
