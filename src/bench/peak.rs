//! What a device can do at most, measured: multiply-adds in registers, and copying memory.
#![expect(clippy::inline_always, reason = "code is compiled for an instruction set only where it is inlined into it")]

use std::{hint::black_box, time::Instant};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    Device, DeviceArray, Result, Work,
    device::{Backend, Kernel, block_on, params},
};

/// What a device was measured to do at most in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// GFLOP of multiply-adds in f32, two each, by threads that touch no memory.
    pub gflops: f64,
    /// GB read and written by a copy of an array that no cache holds.
    pub gbytes: f64,
}

/// A probe grows until it takes so long.
const SECONDS: f64 = 0.05;

/// Times that a probe is run; the fastest counts.
const RUNS: usize = 3;

/// Bytes to copy, where a binding may have them.
const COPIED_BYTES: u64 = 128 << 20;

/// Invocations a workgroup, and workgroups that fill a large GPU.
const THREADS: usize = 256;
const GROUPS: usize = 4096;

/// Multiply-adds of an invocation in a round: see `shaders/probe.wgsl`.
const ROUND: usize = 64;

/// The measured peak of a device.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
pub fn peak(device: &Device) -> Result<Peak> {
    let mut work = device.work();
    match &mut work.0 {
        Backend::Cpu => cpu_peak(),
        Backend::Gpu(recording) => {
            let bytes = COPIED_BYTES.min(recording.device().max_part()) / 16 * 16;
            let source: DeviceArray<[f32; 4]> = recording.array(bytes as usize / 16, 1)?;
            let copied: DeviceArray<[f32; 4]> = recording.array(bytes as usize / 16, 1)?;
            let sums: DeviceArray<[f32; 4]> = recording.array(GROUPS * THREADS, 1)?;
            let mark = device.upload(vec![0_u32], 1)?;
            let run = |record: &dyn Fn(&mut Work) -> Result<()>| {
                let mut work = device.work();
                record(&mut work)?;
                block_on(work.read(mark.clone())).map(drop)
            };
            let multiplied = fastest(|rounds| run(&|work| multiply(work, &sums, rounds)))?;
            let copies = fastest(|times| run(&|work| (0..times).try_for_each(|_| copy(work, &source, &copied))))?;
            Ok(Peak {
                gflops: 1e-9 * multiplied * (2 * ROUND * GROUPS * THREADS) as f64,
                gbytes: 1e-9 * copies * (2 * bytes) as f64,
            })
        }
    }
}

/// The most that a probe does in a second, of what it is given a number of.
fn fastest(mut probe: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let mut seconds = |number| {
        let start = Instant::now();
        probe(number)?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut number = 1;
    // The first run compiles and touches.
    seconds(number)?;
    while seconds(number)? < SECONDS && number < 1 << 24 {
        number *= 2;
    }
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        best = best.min(seconds(number)?);
    }
    Ok(number as f64 / best)
}

params! {
    struct Params {
        elements: u32,
        rounds: u32,
        factor: f32,
        term: f32,
    }
}

pub(crate) fn kernels() -> [Kernel; 2] {
    [kernel("multiply"), kernel("copy")]
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel {
        name: "probe",
        source: include_str!("../../shaders/probe.wgsl"),
        params: Params::WGSL,
        entry,
        numbers: vec![("THREADS", THREADS as u32)],
        flags: if entry == "multiply" { vec!["MULTIPLY"] } else { vec![] },
    }
}

fn multiply(work: &mut Work, sums: &DeviceArray<[f32; 4]>, rounds: usize) -> Result<()> {
    let params = Params { elements: sums.rows() as u32, rounds: rounds as u32, factor: 0.999, term: 0.001 };
    let Backend::Gpu(recording) = &mut work.0 else { return Ok(()) };
    recording.dispatch(kernel("multiply"), &params, &[("sums", sums.part(0)?.0)], sums.rows() / THREADS)
}

fn copy(work: &mut Work, source: &DeviceArray<[f32; 4]>, copied: &DeviceArray<[f32; 4]>) -> Result<()> {
    let params = Params { elements: source.rows() as u32, rounds: 0, factor: 0.0, term: 0.0 };
    let Backend::Gpu(recording) = &mut work.0 else { return Ok(()) };
    let buffers = [("source", source.part(0)?.0), ("copied", copied.part(0)?.0)];
    recording.dispatch(kernel("copy"), &params, &buffers, source.rows().div_ceil(THREADS))
}

fn cpu_peak() -> Result<Peak> {
    let (threads, arch) = (rayon::current_num_threads(), Arch::new());
    let lanes = arch.dispatch(Lanes);
    let multiplied = fastest(|rounds| {
        rayon::broadcast(|_| black_box(arch.dispatch(Chains { rounds: black_box(rounds) })));
        Ok(())
    })?;
    let source = vec![1.0_f32; COPIED_BYTES as usize / size_of::<f32>()];
    let mut copied = vec![0.0_f32; source.len()];
    let piece = source.len().div_ceil(threads);
    let copies = fastest(|times| {
        for _ in 0..times {
            copied.par_chunks_mut(piece).zip(source.par_chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
            black_box(&mut copied);
        }
        Ok(())
    })?;
    Ok(Peak {
        gflops: 1e-9 * multiplied * (2 * CHAINS * lanes * threads) as f64,
        gbytes: 1e-9 * copies * (2 * COPIED_BYTES) as f64,
    })
}

/// Multiply-adds that need not wait for each other: more than any core has under way.
const CHAINS: usize = 12;

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct Chains {
    rounds: usize,
}

impl WithSimd for Chains {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [simd.splat_f32s(1.0); CHAINS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}
