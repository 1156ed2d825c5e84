//! Runs what `compare.py` asks for, a JSON request a line, and answers in JSON: the seconds that it took and what came
//! out. Files are read and indexes are built before the clock starts.

use std::{
    error::Error,
    io::{BufRead, Write},
    time::Instant,
};

use cellprobe::{
    Device, Index, KMeans, Metric, ProductQuantizer, Search, Transform,
    index::{self, ExactRows, Filter},
    kmeans::Init,
    quantize::Training,
    storage::read_vectors,
};
use ndarray::{Array2, s};
use serde_json::{Value, json};

/// What is run, ready to run.
enum Job {
    Search {
        index: Box<Index>,
        queries: Array2<f32>,
        k: usize,
        nprobe: Option<usize>,
        rerank: Option<(ExactRows<'static>, usize)>,
        filter: Option<Filter>,
    },
    KMeans {
        rows: Array2<f32>,
        start: Array2<f32>,
        iterations: usize,
    },
    TrainQuantizer {
        rows: Array2<f32>,
        m: usize,
        nbits: usize,
    },
    Encode {
        quantizer: ProductQuantizer,
        rows: Array2<f32>,
    },
    Build {
        factory: String,
        rows: Array2<f32>,
    },
    TrainOpq {
        rows: Array2<f32>,
        m: usize,
    },
    Rotate {
        transform: Transform,
        rows: Array2<f32>,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut job = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = if request["run"].is_null() {
            job = Some(prepare(&request)?);
            json!({})
        } else {
            run(job.as_ref().ok_or("nothing is prepared")?, &request)?
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    if job.is_none() {
        eprintln!("nothing was asked for: see benches/peers/README.md");
    }
    Ok(())
}

fn prepare(request: &Value) -> Result<Job, Box<dyn Error>> {
    let device = Device::cpu();
    let text = |name: &str| request[name].as_str().ok_or(format!("no {name}"));
    let number = |name: &str| request[name].as_u64().map(|number| number as usize).ok_or(format!("no {name}"));
    let rows = || Ok::<_, Box<dyn Error>>(read_vectors(text("rows")?)?);
    Ok(match text("prepare")? {
        "search" => {
            let index = if let Some(path) = request["index"].as_str() {
                Index::read_file(path, &device)?
            } else {
                let rows = rows()?;
                let mut index = Index::new(&device, rows.ncols(), text("factory")?, Metric::L2)?;
                index.train(rows.view())?;
                index.add(rows.view())?;
                index
            };
            let rerank = match number("rerank") {
                Ok(factor) => Some((index.exact_rows(rows()?.view())?, factor)),
                Err(_) => None,
            };
            let queries = read_vectors(text("queries")?)?;
            // So many of a hundred rows.
            let filter = match request["accept"].as_i64() {
                Some(accepted) => Some(index.filter(|id| id % 100 < accepted)?),
                None => None,
            };
            let (k, nprobe) = (number("k")?, number("nprobe").ok());
            Job::Search { index: Box::new(index), queries, k, nprobe, rerank, filter }
        }
        "kmeans" => {
            Job::KMeans { rows: rows()?, start: read_vectors(text("start")?)?, iterations: number("iterations")? }
        }
        "train" => Job::TrainQuantizer { rows: rows()?, m: number("m")?, nbits: number("nbits")? },
        "encode" => {
            let rows = rows()?;
            let sample = rows.slice(s![..rows.nrows().min(20_000), ..]);
            let options = Training::default().iterations(4);
            let quantizer = ProductQuantizer::train(&device, sample, number("m")?, number("nbits")?, &options)?;
            Job::Encode { quantizer, rows }
        }
        "build" => Job::Build { factory: text("factory")?.to_owned(), rows: rows()? },
        "opq" => Job::TrainOpq { rows: rows()?, m: number("m")? },
        "rotate" => Job::Rotate { transform: Transform::linear(read_vectors(text("matrix")?)?, None)?, rows: rows()? },
        other => return Err(format!("cannot prepare {other}").into()),
    })
}

/// Runs the job; how to search may be asked for anew.
fn run(job: &Job, request: &Value) -> Result<Value, Box<dyn Error>> {
    let number = |name: &str, otherwise| request[name].as_u64().map(|number| number as usize).or(otherwise);
    let device = Device::cpu();
    let start = Instant::now();
    let seconds = || start.elapsed().as_secs_f64();
    Ok(match job {
        Job::Search { index, queries, k, nprobe, rerank, filter } => {
            let mut search = Search::new(*k);
            if let Some(nprobe) = number("nprobe", *nprobe) {
                search = search.nprobe(nprobe);
            }
            if let Some((rows, factor)) = rerank {
                search = search.rerank(rows, number("rerank", None).unwrap_or(*factor));
            }
            if let Some(filter) = filter {
                search = search.filter(filter);
            }
            let found = index.search_with(queries.view(), &search)?;
            let seconds = seconds();
            let ids = if request["result"] == true {
                found.ids().outer_iter().map(|row| row.to_vec()).collect()
            } else {
                vec![]
            };
            json!({ "seconds": seconds, "ids": ids })
        }
        Job::KMeans { rows, start, iterations } => {
            let kmeans = KMeans::new(start.nrows()).iterations(*iterations).max_points_per_centroid(None);
            let clustering = kmeans.init(Init::Given(start.clone())).train(&device, rows.view())?;
            json!({ "seconds": seconds(), "objective": clustering.objective() })
        }
        Job::TrainQuantizer { rows, m, nbits } => {
            ProductQuantizer::train(&device, rows.view(), *m, *nbits, &Training::default())?;
            json!({ "seconds": seconds() })
        }
        Job::Encode { quantizer, rows } => {
            quantizer.encode(rows.view())?;
            json!({ "seconds": seconds() })
        }
        Job::TrainOpq { rows, m } => {
            let mut transform = Transform::opq(rows.ncols(), rows.ncols(), *m)?;
            transform.train(&device, rows.view(), &index::Training::default())?;
            let seconds = seconds();
            let matrix = transform.matrix().filter(|_| request["result"] == true);
            json!({ "seconds": seconds, "matrix": matrix.map(|matrix| matrix.iter().copied().collect::<Vec<_>>()) })
        }
        Job::Rotate { transform, rows } => {
            transform.apply(&device, rows.view())?;
            json!({ "seconds": seconds() })
        }
        Job::Build { factory, rows } => {
            let mut index = Index::new(&device, rows.ncols(), factory, Metric::L2)?;
            index.train(rows.view())?;
            index.add(rows.view())?;
            json!({ "seconds": seconds() })
        }
    })
}
