//! What the loops of a program in AMD's machine code issue.

/// What one pass over a stretch of code issues, a lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Issued {
    /// Multiply-adds of 32 bits; those of 8 bits and of matrices count as well.
    pub fma: f64,
    /// Vector instructions; what is issued two at a time counts half, a product of matrices as many as it takes the time of.
    pub vector: f64,
    /// Bytes through workgroup memory.
    pub workgroup_bytes: f64,
    /// Bytes through the vector caches.
    pub memory_bytes: f64,
}

/// What a product of matrices of 16 x 16 is for each of 32 lanes, and the vector instructions that take as long: a compute
/// unit of RDNA3 multiplies and adds 256 times a clock so.
const MATRIX_MULTIPLY_ADDS: f64 = 16.0 * 16.0 * 16.0 / 32.0;
const MATRIX_CLOCKS: f64 = 32.0;

/// The loop that counts, and what one round of the loop around it issues beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HotLoop {
    pub issued: Issued,
    pub around: Issued,
}

impl Issued {
    fn of(code: &[Line<'_>]) -> Self {
        code.iter().fold(Issued::default(), |sum, line| sum.and(line.opcode))
    }

    fn and(mut self, opcode: &str) -> Self {
        if opcode.starts_with("ds_") {
            self.workgroup_bytes += bytes(opcode);
        } else if ["buffer_", "global_", "flat_", "scratch_"].iter().any(|prefix| opcode.starts_with(prefix)) {
            self.memory_bytes += bytes(opcode);
        } else if opcode.starts_with("v_wmma_f32_16x16x16") {
            self.vector += MATRIX_CLOCKS;
            self.fma += MATRIX_MULTIPLY_ADDS;
        } else if opcode.starts_with("v_") {
            let parts = opcode.split("::");
            self.vector += 1.0 / parts.clone().count() as f64;
            self.fma += parts.map(multiply_adds).sum::<f64>();
        }
        self
    }

    fn plus(self, other: Self) -> Self {
        Issued {
            fma: self.fma + other.fma,
            vector: self.vector + other.vector,
            workgroup_bytes: self.workgroup_bytes + other.workgroup_bytes,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }

    /// The busiest resource of a compute unit and the share of its multiply-add peak that it leaves. A clock has room for
    /// 64 lanes' vector instructions, 128 bytes of workgroup memory and 64 of the first-level cache.
    pub fn ceiling(&self) -> (&'static str, f64) {
        let lanes = 64.0;
        let clocks = [
            ("vector", self.vector),
            ("workgroup memory", self.workgroup_bytes * lanes / 128.0),
            ("cache", self.memory_bytes * lanes / 64.0),
        ];
        let busiest = clocks.into_iter().fold(("none", 0.0), |most, next| if next.1 > most.1 { next } else { most });
        (busiest.0, if busiest.1 > 0.0 { 100.0 * self.fma / busiest.1 } else { 0.0 })
    }
}

/// Multiply-adds of a lane, by the name of the instruction.
fn multiply_adds(opcode: &str) -> f64 {
    if opcode.contains("dot4") {
        4.0
    } else if ["fma", "_mac_f", "_mad_f"].iter().any(|name| opcode.contains(name)) {
        1.0
    } else {
        0.0
    }
}

/// Bytes that a lane moves, by the suffix of the instruction.
fn bytes(opcode: &str) -> f64 {
    const WIDTHS: [(&str, f64); 9] = [
        ("x4", 16.0),
        ("b128", 16.0),
        ("x3", 12.0),
        ("b96", 12.0),
        ("x2", 8.0),
        ("b64", 8.0),
        ("u16", 2.0),
        ("b16", 2.0),
        ("u8", 1.0),
    ];
    let one = WIDTHS.iter().find(|(suffix, _)| opcode.contains(suffix)).map_or(4.0, |(_, bytes)| *bytes);
    if opcode.contains("read2") || opcode.contains("write2") || opcode.contains("_2addr") { 2.0 * one } else { one }
}

struct Line<'a> {
    /// The block that begins here.
    block: Option<u32>,
    opcode: &'a str,
    /// The block that it may jump to.
    target: Option<u32>,
}

/// Words that an instruction reads of workgroup memory: look-ups, where those are what a kernel does.
pub fn words_read(opcode: &str) -> f64 {
    if opcode.starts_with("ds_read") || opcode.starts_with("ds_load") { bytes(opcode) / 4.0 } else { 0.0 }
}

/// Halves of the words that an instruction reads of workgroup memory: look-ups of two queries a word.
pub fn halves_read(opcode: &str) -> f64 {
    2.0 * words_read(opcode)
}

/// Additions of an instruction.
pub fn additions(opcode: &str) -> f64 {
    opcode.split("::").filter(|part| part.contains("_add_f32")).count() as f64
}

/// Vector instructions for each of what `count` counts, in the loop that has the most of it without the loops in it.
pub fn vector_a(assembly: &str, count: fn(&str) -> f64) -> Option<f64> {
    let code = lines(assembly);
    let loops = loops(&code);
    let own = |&(start, end): &(usize, usize)| {
        let inside =
            |at: usize| loops.iter().any(|&inner| within(inner, (start, end)) && (inner.0..=inner.1).contains(&at));
        let lines = (start..=end).filter(|&at| !inside(at)).map(|at| code[at].opcode);
        lines.fold((0.0, 0.0), |(counted, vector), opcode| {
            (counted + count(opcode), vector + Issued::default().and(opcode).vector)
        })
    };
    let (counted, vector) = loops.iter().map(own).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (counted > 0.0).then(|| vector / counted)
}

/// The innermost loop with the most multiply-adds, or the most instructions where there are none.
pub fn hot_loop(assembly: &str) -> Option<HotLoop> {
    let code = lines(assembly);
    let loops = loops(&code);
    let innermost = loops.iter().filter(|&&outer| !loops.iter().any(|&inner| within(inner, outer)));
    let issued = |&(start, end): &(usize, usize)| Issued::of(&code[start..=end]);
    let hot = innermost.max_by(|a, b| {
        let key = |one| (issued(one).fma, issued(one).vector);
        key(*a).partial_cmp(&key(*b)).unwrap_or(std::cmp::Ordering::Equal)
    })?;
    let around = loops.iter().filter(|&&outer| within(*hot, outer)).min_by_key(|(start, end)| end - start);
    let around = around.map_or(Issued::default(), |outer| {
        Issued::of(&code[outer.0..hot.0]).plus(Issued::of(&code[hot.1 + 1..=outer.1]))
    });
    Some(HotLoop { issued: issued(hot), around })
}

/// First and last line of each loop.
fn loops(code: &[Line<'_>]) -> Vec<(usize, usize)> {
    let start = |block| code.iter().position(|line| line.block == Some(block));
    let mut loops: Vec<(usize, usize)> = code
        .iter()
        .enumerate()
        .filter_map(|(end, line)| Some((start(line.target?).filter(|&start| start <= end)?, end)))
        .collect();
    // Several jumps back to one place are one loop, the longest.
    loops.sort_by_key(|&(start, end)| (start, std::cmp::Reverse(end)));
    loops.dedup_by_key(|&mut (start, _)| start);
    loops
}

/// Whether one loop is in another.
fn within(a: (usize, usize), b: (usize, usize)) -> bool {
    a != b && b.0 <= a.0 && a.1 <= b.1
}

fn lines(assembly: &str) -> Vec<Line<'_>> {
    let number = |label: &str| label.strip_prefix("BB").and_then(|number| number.parse().ok());
    let mut block = None;
    let mut lines = vec![];
    for line in assembly.lines().map(str::trim) {
        if let Some(label) = line.strip_suffix(':').and_then(number) {
            block = Some(label);
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(opcode) = words.next().filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
        else {
            continue;
        };
        let jumps = opcode.starts_with("s_cbranch") || opcode == "s_branch";
        let target = if jumps { words.next().and_then(number) } else { None };
        lines.push(Line { block: block.take(), opcode, target });
    }
    lines
}
