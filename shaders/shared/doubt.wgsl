// What rounding may change, and the list of the rows whose outcome it may.

const UNIT = 5.9604645e-8;

// No less than the error of a product (Higham 2002, section 3.1), a chain of `columns` terms of numbers rounded once when
// centred. `norm` is that of the row, `reach` no less than that of any it meets. Tiny terms may be flushed to zero.
fn chain_error(norm: f32, reach: f32) -> f32 {
    let columns = f32(params.columns);
    return 1.02 * UNIT * (columns + 16.0) * norm * reach + columns * 1.0e-37;
}

// The same of half a squared norm, 32 chains or more and their sum, and of taking a product from it.
fn halves_error(norm: f32, reach: f32) -> f32 {
    return 1.02 * UNIT * (f32(params.columns) / 32.0 + 64.0) * (norm * norm + reach * reach);
}

fn product_error(norm: f32, reach: f32) -> f32 {
    return chain_error(norm, reach) + halves_error(norm, reach);
}

// Whether no intermediate result overflows. Compared as integers, which order where a NaN would not.
fn is_moderate(norm: f32, reach: f32) -> bool {
    return bitcast<u32>(norm) < bitcast<u32>(1.0e18) && bitcast<u32>(reach) < bitcast<u32>(1.0e18);
}
