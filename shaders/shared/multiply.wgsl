    // Part of a function: a subgroup's blocks of the products of `tile` with `query_tile`, and which eights of rows its
    // invocations have of them. `loaded` is the tile's first step before and `next_tile`'s afterwards.
    let piece = first + subgroup;
    let across = piece % PIECES_ACROSS * PIECE_QUERIES;
    let down = piece / PIECES_ACROSS * PIECE_ROWS;
    var block00 = Block();
    var block01 = Block();
    var block02 = Block();
    var block03 = Block();
    var block10 = Block();
    var block11 = Block();
    var block12 = Block();
    var block13 = Block();
    for (var step = 0u; step < steps; step++) {
        store_step(thread, loaded);
        // What comes next is asked for while this is multiplied.
        var next = tile;
        var next_step = step + 1u;
        if (next_step == steps) {
            next_step = 0u;
            if (first + subgroups >= PIECES) { next = next_tile; }
        }
        loaded = load_step(thread, next * steps + next_step, query_tile * steps + next_step);
        for (var column = 0u; column < FOURS; column += {{MATRIX}}u / 4u) {
            let left = down * PITCH + column;
            let right = RIGHT + across * PITCH + column;
            let left0 = coopLoadT<Left>(&sides[left], PITCH);
            let left1 = coopLoadT<Left>(&sides[left + {{MATRIX}}u * PITCH], PITCH);
            let right0 = coopLoad<Right>(&sides[right], PITCH);
            let right1 = coopLoad<Right>(&sides[right + {{MATRIX}}u * PITCH], PITCH);
            let right2 = coopLoad<Right>(&sides[right + 2u * {{MATRIX}}u * PITCH], PITCH);
            let right3 = coopLoad<Right>(&sides[right + 3u * {{MATRIX}}u * PITCH], PITCH);
            block00 = coopMultiplyAdd(left0, right0, block00);
            block01 = coopMultiplyAdd(left0, right1, block01);
            block02 = coopMultiplyAdd(left0, right2, block02);
            block03 = coopMultiplyAdd(left0, right3, block03);
            block10 = coopMultiplyAdd(left1, right0, block10);
            block11 = coopMultiplyAdd(left1, right1, block11);
            block12 = coopMultiplyAdd(left1, right2, block12);
            block13 = coopMultiplyAdd(left1, right3, block13);
        }
    }
    let eight0 = down / 8u + lane / {{MATRIX}}u % ({{MATRIX}}u / 8u);
    let eight1 = eight0 + {{MATRIX}}u / 8u;
