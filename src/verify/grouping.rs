//! Operations on groups, and rows put in order.

use futures::FutureExt;
use ndarray::Array2;

use super::{
    EXACT, Planned, ROUNDING, Verifier,
    compare::{numbers, rounding, unequal},
    data::{Random, Values},
};
use crate::{
    Device, Result,
    ops::{self, Grouping, Ranked, Rotation, reference},
};

/// Rows, groups, columns.
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (1000, 7, 5), (3000, 300, 3), (50, 2000, 1), (600, 1, 33), (40, 40, 130)];

/// Rows that are rotated one by one.
const FEW: usize = 7;

pub(super) async fn check(verifier: &mut Verifier<'_>) -> Result<()> {
    let device = &verifier.device.clone();
    for shape in SHAPES {
        verifier.run(checks(device, shape)).await?;
    }
    Ok(())
}

/// Every kernel once.
pub(super) fn brief(device: &Device) -> Vec<Planned<'_>> {
    checks(device, SHAPES[1])
}

fn checks(device: &Device, (rows, groups, columns): (usize, usize, usize)) -> Vec<Planned<'_>> {
    let planned = |operation, shape, tolerance, worst_error| Planned { operation, shape, tolerance, worst_error };
    let words = format!("{rows} rows in {groups} groups");
    let mut checks = vec![planned("group", words.clone(), EXACT, group(device, rows, groups).boxed())];
    for values in [Values::Uniform, Values::Integers, Values::Far] {
        let words = format!("{words}, {columns} columns, {values}");
        let sums = segment_sums(device, (rows, groups, columns), values);
        checks.push(planned("segment_sums", words, values.tolerance(), sums.boxed()));
    }
    for spherical in [false, true] {
        let words = format!("{words}, {columns} columns{}", if spherical { ", spherical" } else { "" });
        let updated = update_centroids(device, (rows, groups, columns), spherical);
        checks.push(planned("update_centroids", words, ROUNDING, updated.boxed()));
    }
    let words = format!("{groups} of {rows} rows of {columns}");
    checks.extend([
        planned("gather", words.clone(), EXACT, gather(device, rows, groups, columns).boxed()),
        planned("mask", words.clone(), EXACT, mask(device, rows, groups).boxed()),
        planned("concat", words.clone(), EXACT, concat(device, rows, groups, columns).boxed()),
        planned("rename", words, EXACT, rename(device, rows, groups, columns).boxed()),
    ]);
    let words = format!("{rows} rows of {columns}");
    checks.push(planned("normalise", words, ROUNDING, normalise(device, rows, columns).boxed()));
    // Few are another kernel's.
    for rows in [rows, rows.min(FEW)] {
        let words = format!("{rows} rows of {columns}, {groups} come out");
        checks.push(planned("rotate", words, ROUNDING, rotate(device, rows, groups, columns).boxed()));
    }
    checks
}

/// Labels that leave the last third of the groups empty.
fn labels(rows: usize, groups: usize) -> Vec<u32> {
    Random::new(rows as u64).below(rows, (2 * groups).div_ceil(3))
}

async fn group(device: &Device, rows: usize, groups: usize) -> Result<f64> {
    let labels = labels(rows, groups);
    let mut work = device.work();
    let grouping = ops::group(&mut work, &device.upload(labels.clone(), 1)?, groups)?;
    let found_offsets = work.read(grouping.offsets).await?;
    let found_order = device.work().read(grouping.order).await?;
    let (offsets, order) = reference::group(&labels, groups);
    Ok(unequal(&found_offsets, &offsets) + unequal(&found_order, &order))
}

async fn segment_sums(device: &Device, (rows, groups, columns): (usize, usize, usize), values: Values) -> Result<f64> {
    let data = Random::new(5).numbers(rows * columns, values);
    let (offsets, order) = reference::group(&labels(rows, groups), groups);
    let grouping = Grouping { offsets: device.upload(offsets.clone(), 1)?, order: device.upload(order.clone(), 1)? };
    let mut work = device.work();
    let found = ops::segment_sums(&mut work, &device.upload(data.clone(), columns)?, &grouping)?;
    let found = work.read(found).await?;
    let expected = reference::segment_sums(&data, columns, &offsets, &order);
    if values.exact() {
        let expected: Vec<f32> = expected.into_iter().map(|sum| sum as f32).collect();
        return Ok(unequal(&found, &expected));
    }
    let members = |group: usize| &order[offsets[group] as usize..offsets[group + 1] as usize];
    let bound = |group: usize, column: usize| {
        // An empty group's sum of nothing has no error at all to allow.
        let terms = members(group).iter().map(|&row| f64::from(data[row as usize * columns + column]));
        rounding(terms).max(f64::MIN_POSITIVE)
    };
    let bounds: Vec<f64> = (0..groups)
        .flat_map(|group| (0..columns).map(move |column| (group, column)))
        .map(|(g, c)| bound(g, c))
        .collect();
    Ok(numbers(&found, &expected, &bounds))
}

async fn update_centroids(
    device: &Device,
    (rows, groups, columns): (usize, usize, usize),
    spherical: bool,
) -> Result<f64> {
    let mut random = Random::new(6);
    let (offsets, _) = reference::group(&labels(rows, groups), groups);
    let sums = random.numbers(groups * columns, Values::Uniform);
    let inertia: Vec<f32> = random.numbers(groups, Values::Uniform).into_iter().map(f32::abs).collect();
    let draws: Vec<f32> = random.numbers(1 << 12, Values::Uniform).into_iter().map(f32::abs).collect();
    let mut work = device.work();
    let updated = ops::update_centroids(
        &mut work,
        &device.upload(sums.clone(), columns)?,
        &device.upload(offsets.clone(), 1)?,
        &device.upload(inertia.clone(), 1)?,
        &device.upload(vec![], 2)?,
        &device.upload(draws.clone(), 1)?,
        spherical,
    )?;
    let found = work.read(updated.centroids).await?;
    let history = device.work().read(updated.history).await?;
    let (expected, [objective, empty]) =
        reference::update_centroids(&sums, columns, &offsets, &inertia, &draws, spherical);
    // A centroid is a quotient that splitting multiplies, each time with an error; its length is a sum over the columns.
    let steps = empty + columns as f64 + 4.0;
    let bounds: Vec<f64> = expected.iter().map(|value| steps * rounding(std::iter::once(*value))).collect();
    let objective_bound = rounding(inertia.iter().copied().map(f64::from));
    let history_error = numbers(&history, &[objective, empty], &[objective_bound, f64::MIN_POSITIVE]);
    Ok(numbers(&found, &expected, &bounds).max(history_error))
}

async fn gather(device: &Device, rows: usize, count: usize, columns: usize) -> Result<f64> {
    let mut random = Random::new(7);
    let data = random.numbers(rows * columns, Values::Uniform);
    let order = random.below(count, rows);
    let mut work = device.work();
    let found = ops::gather(&mut work, &device.upload(data.clone(), columns)?, &device.upload(order.clone(), 1)?)?;
    let found = work.read(found).await?;
    Ok(unequal(&found, &reference::gather(&data, columns, &order)))
}

async fn concat(device: &Device, rows: usize, others: usize, columns: usize) -> Result<f64> {
    let mut random = Random::new(8);
    let first = random.below(rows * columns, 1 << 30);
    let second = random.below(others * columns, 1 << 30);
    let mut work = device.work();
    let both =
        ops::concat(&mut work, &device.upload(first.clone(), columns)?, &device.upload(second.clone(), columns)?)?;
    let found = work.read(both).await?;
    Ok(unequal(&found, &[first, second].concat()))
}

async fn mask(device: &Device, rows: usize, entries: usize) -> Result<f64> {
    let ids = Random::new(13).below(entries, rows);
    let is_set = |row: usize| !row.is_multiple_of(3);
    let mut work = device.work();
    let of_rows = ops::Mask::new(device, rows, is_set)?;
    let found = ops::mask(&mut work, &of_rows, &device.upload(ids.clone(), 1)?)?;
    let found = work.read(found.words().clone()).await?;
    Ok(unequal(&found, &reference::mask(&ops::mask_words(rows, is_set), &ids)))
}

async fn rename(device: &Device, names: usize, queries: usize, columns: usize) -> Result<f64> {
    let mut random = Random::new(9);
    let ids = random.below(queries * columns, names);
    let distances = random.numbers(queries * columns, Values::Uniform);
    let mut candidates: Vec<_> =
        distances.into_iter().zip(ids).map(|(distance, id)| Ranked::new(distance, id)).collect();
    candidates.iter_mut().step_by(7).for_each(|candidate| *candidate = Ranked::NONE);
    let names = random.below(names, 1 << 30);
    let mut work = device.work();
    let on_device = device.upload(candidates.clone(), columns)?;
    let found = ops::rename(&mut work, &on_device, &device.upload(names.clone(), 1)?)?;
    let found = work.read(found).await?;
    Ok(unequal(&found, &reference::rename(&candidates, &names)))
}

async fn normalise(device: &Device, rows: usize, columns: usize) -> Result<f64> {
    let data = Random::new(10).numbers(rows * columns, Values::Uniform);
    let mut work = device.work();
    let found = ops::normalise(&mut work, &device.upload(data.clone(), columns)?)?;
    let found = work.read(found).await?;
    let expected = reference::normalise(&data, columns);
    // The norm is a sum over the columns, of which each number is a part.
    let bounds: Vec<f64> =
        expected.iter().map(|value| (columns as f64 + 8.0) * rounding(std::iter::once(*value))).collect();
    Ok(numbers(&found, &expected, &bounds))
}

async fn rotate(device: &Device, rows: usize, rotated: usize, columns: usize) -> Result<f64> {
    let mut random = Random::new(11);
    let data = random.numbers(rows * columns, Values::Uniform);
    let matrix = random.numbers(rotated * columns, Values::Uniform);
    let bias = random.numbers(rotated, Values::Uniform);
    let lines = Array2::from_shape_fn((rotated, columns), |(line, column)| matrix[line * columns + column]);
    let rotation = Rotation::new(device, lines.view(), Some(&bias))?;
    let mut work = device.work();
    let found = ops::rotate(&mut work, &device.upload(data.clone(), columns)?, &rotation)?;
    let found = work.read(found).await?;
    let bounds: Vec<f64> = data
        .chunks(columns)
        .flat_map(|row| {
            matrix.chunks(columns).zip(&bias).map(move |(line, &bias)| {
                let products = row.iter().zip(line).map(|(&a, &b)| f64::from(a) * f64::from(b));
                rounding(products.chain([f64::from(bias)]))
            })
        })
        .collect();
    Ok(numbers(&found, &reference::rotate(&data, columns, &matrix, &bias), &bounds))
}
