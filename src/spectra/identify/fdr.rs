//! How many of the identifications are wrong: estimated by decoys.

/// The q-value of each query's best match, from the best scores among the library's spectra and among as many decoys:
/// target-decoy competition ([Elias and Gygi 2007](https://doi.org/10.1038/nmeth1019)).
///
/// Of each query only the better of the two counts, a decoy where both are the same. The q-value is the least share of
/// decoys, (decoys + 1) / targets, at any threshold that still accepts the match; the 1 keeps the estimate from being
/// too low where matches are few ([Levitsky and others 2017](https://doi.org/10.1021/acs.jproteome.6b00144)). It is 1
/// where a decoy won, and `None` where there is no match.
#[must_use]
pub fn q_values(best: &[(Option<f64>, Option<f64>)]) -> Vec<Option<f64>> {
    let wins = |&(target, decoy): &(Option<f64>, Option<f64>)| {
        target.is_some_and(|target| decoy.is_none_or(|decoy| target > decoy))
    };
    let mut order: Vec<usize> = (0..best.len()).filter(|&query| best[query] != (None, None)).collect();
    let score = |query: usize| match best[query] {
        pair if wins(&pair) => pair.0,
        (_, decoy) => decoy,
    };
    order.sort_by(|&a, &b| score(b).unwrap_or(0.0).total_cmp(&score(a).unwrap_or(0.0)).then(a.cmp(&b)));
    let (mut targets, mut decoys) = (0_u32, 0_u32);
    let mut rates = Vec::with_capacity(order.len());
    for same in order.chunk_by(|&a, &b| score(a) == score(b)) {
        let won = same.iter().filter(|&&query| wins(&best[query])).count() as u32;
        targets += won;
        decoys += same.len() as u32 - won;
        let rate = (f64::from(decoys) + 1.0) / f64::from(targets.max(1));
        rates.extend(std::iter::repeat_n(rate, same.len()));
    }
    let mut q_values: Vec<Option<f64>> = best.iter().map(|(target, _)| target.map(|_| 1.0)).collect();
    let mut least = 1.0_f64;
    for (&query, rate) in order.iter().zip(rates).rev() {
        least = least.min(rate);
        if wins(&best[query]) {
            q_values[query] = Some(least);
        }
    }
    q_values
}
