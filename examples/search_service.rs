//! A long-running service: threads answer queries from one index that they share, until they are told to stop.
//! Queries that wait go together, so that a GPU has enough to do. Prints how long answers took and how many there were.
//!
//! `cargo run --release --example search_service -- [--device auto|cpu|gpu|gpu:<index or part of the name>]`. It runs on
//! the CPU where there is no GPU; a software adapter such as lavapipe is taken when asked for by `--device gpu`.

#[path = "common/device.rs"]
mod device;
#[path = "common/random.rs"]
mod random;

use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use cellprobe::{Index, Metric, Neighbor};
use ndarray::Array2;

const DIMENSION: usize = 64;
const NEIGHBORS: usize = 10;
const SEARCHERS: usize = 2;
const CLIENTS: usize = 8;
/// Most queries that are searched together.
const BATCH: usize = 64;
const SECONDS: u64 = 3;

/// A query, and whom to tell the answer.
struct Request {
    query: Vec<f32>,
    answer: Sender<Vec<Neighbor>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = device::device()?;
    println!("device: {device} ({})", device.reason());
    let mut random = random::Random::new(1);
    let vectors = random.rows(20_000, DIMENSION);
    let mut index = Index::new(&device, DIMENSION, "IVF128,Flat", Metric::L2)?;
    index.train(vectors.view())?;
    index.add(vectors.view())?;
    index.set_nprobe(8)?;
    let index = Arc::new(index);
    let queries = Arc::new(random.rows(1000, DIMENSION));

    let (ask, requests) = mpsc::channel();
    let requests = Arc::new(Mutex::new(requests));
    let searchers: Vec<_> = (0..SEARCHERS)
        .map(|_| {
            let (index, requests) = (Arc::clone(&index), Arc::clone(&requests));
            thread::spawn(move || serve(&index, &requests))
        })
        .collect();

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (queries, ask, stop) = (Arc::clone(&queries), ask.clone(), Arc::clone(&stop));
            thread::spawn(move || visit(&queries, client, &ask, &stop))
        })
        .collect();
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(SECONDS));

    // Clients stop asking; when the last has gone the channel closes, and the searchers end when it is empty.
    stop.store(true, Ordering::Relaxed);
    drop(ask);
    let mut took = vec![];
    for client in clients {
        took.extend(client.join().map_err(|_| "a client panicked")??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let mut searches = 0;
    for searcher in searchers {
        searches += searcher.join().map_err(|_| "a searcher panicked")?;
    }
    report(took, searches, seconds);
    Ok(())
}

/// Answers requests until there will be no more; gives how many searches that took.
fn serve(index: &Index, requests: &Mutex<Receiver<Request>>) -> usize {
    let mut searches = 0;
    loop {
        let batch: Vec<Request> = {
            let requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(first) = requests.recv() else { return searches };
            std::iter::once(first).chain(requests.try_iter()).take(BATCH).collect()
        };
        let queries = Array2::from_shape_fn((batch.len(), DIMENSION), |(row, column)| batch[row].query[column]);
        match index.search(queries.view(), NEIGHBORS) {
            Ok(neighbors) => {
                // Who no longer waits is not told.
                batch.iter().zip(neighbors.rows()).for_each(|(request, found)| {
                    drop(request.answer.send(found.to_vec()));
                });
            }
            Err(error) => {
                eprintln!("a search failed: {error}");
                return searches;
            }
        }
        searches += 1;
    }
}

/// Asks one query after the other until told to stop; gives how long each answer took.
fn visit(
    queries: &Array2<f32>,
    client: usize,
    ask: &Sender<Request>,
    stop: &AtomicBool,
) -> Result<Vec<Duration>, &'static str> {
    let mut took = vec![];
    while !stop.load(Ordering::Relaxed) {
        let query = queries.row((client * 100 + took.len()) % queries.nrows()).to_vec();
        let (answer, answered) = mpsc::channel();
        let begun = Instant::now();
        ask.send(Request { query, answer }).map_err(|_| "nobody serves any more")?;
        let neighbors = answered.recv().map_err(|_| "no answer")?;
        took.push(begun.elapsed());
        assert!(!neighbors.is_empty(), "an index with rows finds some");
    }
    Ok(took)
}

fn report(mut took: Vec<Duration>, searches: usize, seconds: f64) {
    took.sort_unstable();
    let percentile = |percent: usize| took.get(took.len() * percent / 100).map_or(0.0, |took| 1e3 * took.as_secs_f64());
    println!(
        "{} answers by {searches} searches in {seconds:.1} s: {:.0} a second",
        took.len(),
        took.len() as f64 / seconds
    );
    println!(
        "ms to an answer: {:.2} at the median, {:.2} at 95 %, {:.2} at 99 %",
        percentile(50),
        percentile(95),
        percentile(99)
    );
}
