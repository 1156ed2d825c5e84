// An entry of the table of look-up `number`, of those that begin at `table`; zero past the last look-up.
fn table_entry(table: u32, number: u32, row: u32) -> f32 {
#if PAIRS
    // A look-up is two sub-quantizers: the low bits are the first's.
    let low = 2u * number;
    if (low >= params.m) { return 0.0; }
    let entry = tables[table + 16u * low + row % 16u];
    if (low + 1u >= params.m) { return entry; }
    return entry + tables[table + 16u * low + 16u + row / 16u];
#else
    if (number >= params.m) { return 0.0; }
    return tables[table + number * {{ROWS}}u + row];
#endif
}
