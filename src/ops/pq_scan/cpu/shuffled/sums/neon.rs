//! Sums of bytes of tables with NEON: a plane is four registers.

use std::arch::aarch64::{
    uint8x16_t, uint8x16x4_t, uint16x8_t, vaddq_u8, vaddw_high_u8, vaddw_u8, vandq_u8, vcvtq_f32_u32, vdupq_n_u8,
    vget_low_u8, vget_low_u16, vmovl_high_u16, vmovl_u16, vqtbl1q_u8, vqtbl4q_u8, vqtbx4q_u8, vshrq_n_u8, vsubq_u8,
    vuzp1q_u8, vuzp2q_u8,
};

use bytemuck::Zeroable;

use super::{LANES, Plane};

/// The bytes of a word of 64 codes, each in a plane.
#[target_feature(enable = "neon")]
pub(super) fn bytes(column: [u32; LANES]) -> [Plane; 4] {
    let quarters: [[uint8x16_t; 4]; 4] = bytemuck::cast(column);
    let mut planes = [[uint8x16_t::zeroed(); 4]; 4];
    for (quarter, [a, b, c, d]) in quarters.into_iter().enumerate() {
        let (even, even_after) = (vuzp1q_u8(a, b), vuzp1q_u8(c, d));
        let (odd, odd_after) = (vuzp2q_u8(a, b), vuzp2q_u8(c, d));
        planes[0][quarter] = vuzp1q_u8(even, even_after);
        planes[1][quarter] = vuzp1q_u8(odd, odd_after);
        planes[2][quarter] = vuzp2q_u8(even, even_after);
        planes[3][quarter] = vuzp2q_u8(odd, odd_after);
    }
    planes.map(|plane| Plane(bytemuck::cast(plane)))
}

/// Of two sub-quantizers a plane.
#[target_feature(enable = "neon")]
pub(super) fn shuffled_16<'a>(blocks: impl Iterator<Item = &'a [Plane]>, tables: &[u8], sums: &mut Vec<[f32; LANES]>) {
    let nibble = vdupq_n_u8(0xf);
    for planes in blocks {
        let mut parts = [Parts::default(); 4];
        for (plane, tables) in planes.iter().zip(tables.as_chunks::<32>().0) {
            let quarters: [uint8x16_t; 4] = bytemuck::cast(plane.0);
            let [low, high]: [uint8x16_t; 2] = bytemuck::cast(*tables);
            for (part, plane) in parts.iter_mut().zip(quarters) {
                let low = vqtbl1q_u8(low, vandq_u8(plane, nibble));
                // No more than 254.
                part.add(vaddq_u8(low, vqtbl1q_u8(high, vshrq_n_u8::<4>(plane))));
            }
        }
        sums.push(bytemuck::cast(parts.map(|part| part.widened())));
    }
}

/// Of a sub-quantizer a plane: numbers past the end of a quarter of the table leave what other quarters gave.
#[target_feature(enable = "neon")]
pub(super) fn shuffled_256<'a>(blocks: impl Iterator<Item = &'a [Plane]>, tables: &[u8], sums: &mut Vec<[f32; LANES]>) {
    let quarter = vdupq_n_u8(64);
    for planes in blocks {
        let mut parts = [Parts::default(); 4];
        for (plane, table) in planes.iter().zip(tables.as_chunks::<256>().0) {
            let quarters: [uint8x16_t; 4] = bytemuck::cast(plane.0);
            let table: [[uint8x16_t; 4]; 4] = bytemuck::cast(*table);
            let [first, second, third, fourth] = table.map(|[a, b, c, d]| uint8x16x4_t(a, b, c, d));
            for (part, numbers) in parts.iter_mut().zip(quarters) {
                let entries = vqtbl4q_u8(first, numbers);
                let numbers = vsubq_u8(numbers, quarter);
                let entries = vqtbx4q_u8(entries, second, numbers);
                let numbers = vsubq_u8(numbers, quarter);
                let entries = vqtbx4q_u8(entries, third, numbers);
                let numbers = vsubq_u8(numbers, quarter);
                part.add(vqtbx4q_u8(entries, fourth, numbers));
            }
        }
        sums.push(bytemuck::cast(parts.map(|part| part.widened())));
    }
}

/// Sums of 16 bytes in 16 bits.
#[derive(Clone, Copy)]
struct Parts {
    low: uint16x8_t,
    high: uint16x8_t,
}

impl Default for Parts {
    fn default() -> Self {
        Parts { low: Zeroable::zeroed(), high: Zeroable::zeroed() }
    }
}

impl Parts {
    #[target_feature(enable = "neon")]
    fn add(&mut self, bytes: uint8x16_t) {
        self.low = vaddw_u8(self.low, vget_low_u8(bytes));
        self.high = vaddw_high_u8(self.high, bytes);
    }

    #[target_feature(enable = "neon")]
    fn widened(self) -> [f32; 16] {
        let Parts { low, high } = self;
        let quarters =
            [vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low), vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)];
        bytemuck::cast(quarters.map(|quarter| vcvtq_f32_u32(quarter)))
    }
}
