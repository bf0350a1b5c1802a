//! Mutations of a corpus: seeded, so that each run of the tests makes the same ones.

use hpb_base::Random;

/// Values at which lengths and counts break.
const EDGES: [u32; 12] = [0, 1, 2, 7, 20, 40, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, u32::MAX];

/// An input like one of the corpus, changed in one to eight places.
pub(crate) fn mutant(random: &mut Random, corpus: &[(String, Vec<u8>)], len_max: usize) -> Vec<u8> {
    let pick = |random: &mut Random| &corpus[random.below(corpus.len() as u64) as usize].1;
    let mut bytes = pick(random).clone();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let span = at..(at + random.below(32) as usize).min(bytes.len());
        match random.below(8) {
            0 => flip(random, &mut bytes, at),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.next_u64() as u8),
            2 => drop(bytes.drain(span)),
            3 => {
                let again = bytes[span].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let other = pick(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            5 => bytes.truncate(at),
            6 => {
                let edge = EDGES[random.below(EDGES.len() as u64) as usize];
                let width = 1 << random.below(3);
                let edge = if random.chance(500_000) { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let edge = if edge[0] == 0 { &edge[4 - width..] } else { &edge[..width] };
                bytes.iter_mut().skip(at).zip(edge).for_each(|(byte, new)| *byte = *new);
            }
            _ => {
                let mut fresh = vec![0; random.below(32) as usize];
                random.fill(&mut fresh);
                bytes.splice(at..at, fresh);
            }
        }
    }
    bytes.truncate(len_max);
    bytes
}

fn flip(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}
