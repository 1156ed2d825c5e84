//! From templates to WGSL.
//!
//! A kernel's file is WGSL with four additions, each on a line of its own: `#include NAME` (a file of
//! `shaders/shared`), `#if FLAG`, `#else`, `#endif`; and `{{NAME}}` where a number goes. Numbers, flags and the
//! layout of `params` come from Rust, so that each is stated once. What a file enables is put before everything else.

use std::{
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    ops::RangeInclusive,
};

use super::cache::hash;

/// The properties of a device that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    /// Neighbouring invocations that can exchange values directly; 1 without subgroup operations.
    pub subgroup_lanes: u32,
    /// Whether four products of 8-bit integers are one instruction.
    pub packed_integers: bool,
    /// Rows and columns of the cooperative matrices of f16 that a subgroup multiplies; 0 where none are used.
    pub matrices: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations that a workgroup may have.
    pub invocations: u32,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subgroup_lanes {
            1 => f.write_str("no subgroups")?,
            lanes => write!(f, "subgroups of {lanes} and more")?,
        }
        if self.packed_integers {
            f.write_str(", packed integers")?;
        }
        match self.matrices {
            0 => Ok(()),
            side => write!(f, ", matrices of {side} x {side}"),
        }
    }
}

impl Variant {
    /// Workgroup memory that kernels of cooperative matrices take, no less.
    pub(super) const fn matrix_bytes(side: u32) -> u32 {
        if side == 16 { 40 << 10 } else { 32 << 10 }
    }

    /// Invocations that a subgroup of theirs has: so many that a workgroup's subgroups are no more than the pieces of a tile,
    /// and as many or more than its pieces across.
    pub(super) const fn matrix_lanes(side: u32) -> RangeInclusive<u32> {
        if side == 16 { 32..=128 } else { 8..=64 }
    }
}

/// An entry point of a shader and what its text depends on.
#[derive(Clone, Debug, Eq)]
pub(crate) struct Kernel {
    /// The operation: the shader's file name.
    pub name: &'static str,
    /// The template.
    pub source: &'static str,
    /// The WGSL of `struct Params`.
    pub params: &'static str,
    pub entry: &'static str,
    /// What `{{NAME}}` stands for.
    pub numbers: Vec<(&'static str, u32)>,
    /// The flags that hold.
    pub flags: Vec<&'static str>,
}

impl Kernel {
    /// What tells kernels apart: one is looked up at every dispatch, and templates are long.
    fn key(&self) -> impl Hash + PartialEq + '_ {
        (self.name, self.entry, &self.numbers, &self.flags)
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Declares a uniform block once, for Rust and for WGSL. Every field is 4 bytes. In WGSL the number of the first workgroup
/// follows, for a dispatch may be one part of several.
macro_rules! params {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ident),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        struct $name { $($field: $type),* }

        impl $name {
            const WGSL: &'static str = concat!("struct Params {\n", $("    ", stringify!($field), ": ", stringify!($type), ",\n",)* "    first_workgroup: u32,\n}\n");
        }
    };
}
pub(crate) use params;

const SHARED: &[(&str, &str)] = &[
    ("accumulate", include_str!("../../shaders/shared/accumulate.wgsl")),
    ("argmin", include_str!("../../shaders/shared/argmin.wgsl")),
    ("bound", include_str!("../../shaders/shared/bound.wgsl")),
    ("code", include_str!("../../shaders/shared/code.wgsl")),
    ("doubt", include_str!("../../shaders/shared/doubt.wgsl")),
    ("exact", include_str!("../../shaders/shared/exact.wgsl")),
    ("few", include_str!("../../shaders/shared/few.wgsl")),
    ("interleaved", include_str!("../../shaders/shared/interleaved.wgsl")),
    ("lanes", include_str!("../../shaders/shared/lanes.wgsl")),
    ("list", include_str!("../../shaders/shared/list.wgsl")),
    ("listed", include_str!("../../shaders/shared/listed.wgsl")),
    ("lookups", include_str!("../../shaders/shared/lookups.wgsl")),
    ("masked", include_str!("../../shaders/shared/masked.wgsl")),
    ("matrices", include_str!("../../shaders/shared/matrices.wgsl")),
    ("multiply", include_str!("../../shaders/shared/multiply.wgsl")),
    ("products", include_str!("../../shaders/shared/products.wgsl")),
    ("ranked", include_str!("../../shaders/shared/ranked.wgsl")),
    ("rounded", include_str!("../../shaders/shared/rounded.wgsl")),
    ("queue", include_str!("../../shaders/shared/queue.wgsl")),
    ("queues", include_str!("../../shaders/shared/queues.wgsl")),
    ("sort", include_str!("../../shaders/shared/sort.wgsl")),
    ("table_entry", include_str!("../../shaders/shared/table_entry.wgsl")),
    ("tile", include_str!("../../shaders/shared/tile.wgsl")),
    ("winners", include_str!("../../shaders/shared/winners.wgsl")),
];

/// What every kernel can say the number of a workgroup by: all of its parts together are one dispatch.
const WORKGROUP_NUMBER: &str = "\
fn workgroup_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return params.first_workgroup + group.y * groups.x + group.x;
}
";

impl Kernel {
    /// Whether it can be dispatched in parts.
    pub(super) fn has_parts(&self) -> bool {
        self.source.contains("workgroup_number(")
    }

    /// The WGSL, complete.
    pub(crate) fn render(&self) -> String {
        let enabled: String = self.enabled().flat_map(|line| [line, "\n"]).collect();
        let mut text = format!(
            "{enabled}// {}: {} ({})\n{}@group(0) @binding(0) var<uniform> params: Params;\n\n{WORKGROUP_NUMBER}\n",
            self.name,
            self.entry,
            self.variant_name(),
            self.params
        );
        self.expand(self.source, &mut text);
        for (name, value) in &self.numbers {
            text = text.replace(&format!("{{{{{name}}}}}"), &value.to_string());
        }
        text
    }

    /// The language's extensions that the template enables, which come before everything else.
    fn enabled(&self) -> impl Iterator<Item = &'static str> {
        self.source.lines().filter(|line| line.starts_with("enable "))
    }

    /// The entry point, flags and numbers, in words that can stand in a file's name.
    pub(crate) fn variant_name(&self) -> String {
        let mut name = self.entry.to_owned();
        self.flags.iter().for_each(|flag| write!(name, "-{}", flag.to_lowercase()).unwrap_or_default());
        self.numbers.iter().for_each(|(key, value)| write!(name, "-{}{value}", key.to_lowercase()).unwrap_or_default());
        name
    }

    fn expand(&self, source: &str, out: &mut String) {
        // One entry an open #if: whether its lines are taken.
        let mut open: Vec<bool> = vec![];
        for line in source.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("#if"), Some(flag)) => open.push(self.flags.contains(&flag)),
                (Some("#else"), _) => open.iter_mut().last().into_iter().for_each(|taken| *taken = !*taken),
                (Some("#endif"), _) => drop(open.pop()),
                (Some("enable"), _) => {}
                _ if open.contains(&false) => {}
                (Some("#include"), Some(name)) => {
                    let shared = SHARED.iter().find(|(known, _)| *known == name);
                    self.expand(shared.map_or("", |(_, text)| text), out);
                }
                _ => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }
}

/// A hash of all that a device of this variant may be given to compile.
pub(super) fn fingerprint(variant: Variant) -> u64 {
    let kernels = crate::ops::kernels(variant);
    let texts: Vec<_> = kernels.iter().map(|kernel| (kernel, kernel.source, kernel.params)).collect();
    hash(&(texts, SHARED, WORKGROUP_NUMBER))
}

/// A rendered variant of a kernel, for those who want to read or check it.
#[derive(Clone, Debug)]
pub struct RenderedShader {
    /// The operation.
    pub name: &'static str,
    /// Entry point, flags and numbers of the variant.
    pub variant: String,
    /// The entry point.
    pub entry: &'static str,
    /// The WGSL.
    pub wgsl: String,
}

/// Every kernel in the variants of typical devices: with subgroups of 4, 32 and without; with 16, 32 and 64 KiB of
/// workgroup memory; with workgroups of 256 and of 1024 invocations; without cooperative matrices and with those of 8 x 8 and
/// of 16 x 16.
#[must_use]
pub fn rendered_shaders() -> Vec<RenderedShader> {
    let variants = [(1, 0, 16, 256), (4, 0, 16, 256), (32, 8, 32, 1024), (32, 16, 64, 1024)];
    let mut kernels = vec![];
    for (subgroup_lanes, matrices, kibibytes, invocations) in variants {
        let workgroup_bytes = kibibytes << 10;
        let variant = Variant { subgroup_lanes, packed_integers: true, matrices, workgroup_bytes, invocations };
        kernels.extend(crate::ops::kernels(variant));
    }
    #[cfg(feature = "cli")]
    kernels.extend(crate::bench::peak_kernels());
    let mut seen = std::collections::HashSet::new();
    kernels.retain(|kernel| seen.insert(kernel.clone()));
    kernels
        .into_iter()
        .map(|kernel| RenderedShader {
            name: kernel.name,
            variant: kernel.variant_name(),
            entry: kernel.entry,
            wgsl: kernel.render(),
        })
        .collect()
}
