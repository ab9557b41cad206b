//! An even draw from a stream of unknown length, in bounded memory.

/// Keeps up to so many of what it is offered, each with the same chance.
#[derive(Clone, Debug)]
pub struct Reservoir<T> {
    items: Vec<T>,
    room: usize,
    offered: u64,
    state: u64,
}

impl<T> Reservoir<T> {
    /// With room for `room`; the seed decides the draw.
    pub fn new(room: usize, seed: u64) -> Self {
        Self { items: Vec::new(), room, offered: 0, state: seed.wrapping_mul(0x9e37_79b9) | 1 }
    }

    /// Offers one.
    pub fn offer(&mut self, item: T) {
        self.offered += 1;
        if self.items.len() < self.room {
            self.items.push(item);
            return;
        }
        let at = usize::try_from(self.next() % self.offered).unwrap_or(usize::MAX);
        if let Some(place) = self.items.get_mut(at) {
            *place = item;
        }
    }

    /// Those that were kept.
    pub fn into_items(self) -> Vec<T> {
        self.items
    }

    /// xorshift64*: even enough for a draw, and the same on every machine.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_and_late_ones_have_the_same_chance() {
        let mut thirds = [0_u32; 3];
        for seed in 1..200 {
            let mut draw = Reservoir::new(10, seed);
            (0..300_usize).for_each(|n| draw.offer(n));
            draw.into_items().into_iter().for_each(|n| thirds[n / 100] += 1);
        }
        assert_eq!(thirds.iter().sum::<u32>(), 1990);
        assert!(thirds.iter().all(|third| (590..740).contains(third)), "{thirds:?}");
    }
}
