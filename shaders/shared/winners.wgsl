// Rows' distances to the centroids that won them, and the rows of which that is not certain. The includer has `numbers`, the
// winner of each of its rows, is_certain(row, norm), and room for two vec4 a thread: keep_share and share_at. MATRICES: norms
// are known, and not taken here.

fn write(row: u32, distance: f32, number: u32) {
    let place = params.output_place + row;
    let found = ranked(distance, params.centroid_number + number);
    // Centroids in several buffers come one after the other, in ascending order.
    if (params.centroid_number == 0u || before(found, ranked(distances[place], labels[place]))) {
        labels[place] = found.x;
        distances[place] = distance_of(found);
    }
}

// The rows' distances to their winners, by difference: 16 threads share a row, four rows go at a time, and a thread
// for each of 64 rows decides.
fn settle_rows(thread: u32, first_row: u32, part: u32) {
    var sums: vec4<f32>;
    var squares: vec4<f32>;
    for (var i = 0u; i < 4u; i++) {
        let row = 8u * (thread / 16u) + part + i;
        let left = (params.row_place + min(first_row + row, params.rows - 1u)) * params.columns;
        let right = (params.centroid_place + numbers[row]) * params.columns;
        for (var column = thread % 16u; column < params.columns; column += 16u) {
            let value = rows[left + column];
#if L2
            let difference = value - centroids[right + column];
            sums[i] = fma(difference, difference, sums[i]);
#if MATRICES
#else
            let centred = value - centre[column];
            squares[i] = fma(centred, centred, squares[i]);
#endif
#else
            sums[i] = fma(-value, centroids[right + column], sums[i]);
#endif
        }
    }
    keep_share(2u * thread, sums);
    keep_share(2u * thread + 1u, squares);
    workgroupBarrier();
    let row = 8u * (thread / 4u) + part + thread % 4u;
    if (thread < {{SIDE}}u / 2u && first_row + row < params.rows) {
        var distance = 0.0;
        var square = 0.0;
        for (var share = 0u; share < 16u; share++) {
            let place = 2u * (16u * (thread / 4u) + share);
            distance += share_at(place)[thread % 4u];
            square += share_at(place + 1u)[thread % 4u];
        }
        if (is_certain(row, sqrt(square))) {
            write(first_row + row, distance, numbers[row]);
        } else {
            list_row(first_row + row);
        }
    }
    workgroupBarrier();
}
