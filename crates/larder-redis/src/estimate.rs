//! Figures from a sample, with the interval in which the true one lies 95 times in a hundred.

/// A figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// The quantile of the normal distribution that leaves 2.5 % on either side.
const Z: f64 = 1.96;

impl Estimate {
    /// A figure that was counted.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// Whether it was counted.
    pub fn is_exact(&self) -> bool {
        self.low >= self.high
    }

    /// The share of the whole, where `hits` of `drawn` have something (Wilson's interval, which
    /// holds for small counts too).
    pub fn share(hits: u64, drawn: u64) -> Self {
        if drawn == 0 {
            return Self { value: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, p) = (drawn as f64, hits as f64 / drawn as f64);
        let middle = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        // Rounding must not push the guess out of its own interval.
        Self {
            value: p,
            low: ((middle - spread) / scale).clamp(0.0, p),
            high: ((middle + spread) / scale).clamp(p, 1.0),
        }
    }

    /// The mean of the whole from a sample; `whole` where the sample is all there is.
    pub fn mean(sample: &[f64], whole: bool) -> Self {
        sample.iter().copied().collect::<Figures>().mean(whole)
    }

    /// The sum of parts that were drawn apart from each other: their errors level out.
    pub fn sum(parts: impl Iterator<Item = Self>) -> Self {
        let (mut value, mut below, mut above) = (0.0, 0.0, 0.0);
        for part in parts {
            value += part.value;
            below += (part.value - part.low).powi(2);
            above += (part.high - part.value).powi(2);
        }
        Self { value, low: (value - below.sqrt()).max(0.0), high: value + above.sqrt() }
    }

    /// `self` of each of `count` things.
    #[must_use]
    pub fn times(self, count: Self) -> Self {
        Self {
            value: self.value * count.value,
            low: self.low * count.low,
            high: self.high * count.high,
        }
    }
}

/// A sample of which only what an estimate needs is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many.
    pub count: u64,
    sum: f64,
    squares: f64,
    largest: f64,
}

impl Figures {
    /// Takes one in.
    pub fn add(&mut self, figure: f64) {
        self.count += 1;
        self.sum += figure;
        self.squares += figure * figure;
        self.largest = self.largest.max(figure);
    }

    /// Takes in those of another sample.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.largest = self.largest.max(other.largest);
    }

    /// The same within a larger sample, of which all the others are zero.
    #[must_use]
    pub fn among(self, count: u64) -> Self {
        Self { count, ..self }
    }

    /// The mean of the whole; `whole` where the sample is all there is.
    pub fn mean(&self, whole: bool) -> Estimate {
        let n = self.count as f64;
        if self.count == 0 {
            return Estimate::default();
        }
        let mean = self.sum / n;
        if whole {
            return Estimate::exact(mean);
        }
        let variance = (self.squares - n * mean * mean).max(0.0) / (n - 1.0).max(1.0);
        let spread = Z * (variance / n).sqrt();
        // Sizes have a long tail above: a sample that missed it must not sound sure, so the
        // largest one seen may stand for one more.
        let high = mean + spread.max(self.largest / n);
        Estimate { value: mean, low: (mean - spread).max(0.0), high }
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut all = Self::default();
        figures.into_iter().for_each(|figure| all.add(figure));
        all
    }
}

impl std::ops::Add for Estimate {
    type Output = Self;

    /// Of two parts; both may lie at the same end of their intervals.
    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            low: self.low + other.low,
            high: self.high + other.high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that the test says the same every time.
    struct Lot(u64);

    impl Lot {
        fn next(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut lot = Lot(7);
        for truth in [0.02, 0.4, 0.97] {
            let held = (0..1000).filter(|_| {
                let hits = (0..500).filter(|_| lot.next() < truth).count() as u64;
                let share = Estimate::share(hits, 500);
                share.low <= truth && truth <= share.high
            });
            let held = held.count();
            assert!((930..=980).contains(&held), "a share of {truth} held {held} times");
        }
    }

    #[test]
    fn sizes_with_a_long_tail() {
        let mut lot = Lot(9);
        // Log-normal with a sigma of 1, whose mean is e^0.5.
        let mut draw = || {
            let (u, v) = (lot.next().max(1e-12), lot.next());
            ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).exp()
        };
        let truth = 0.5_f64.exp();
        let held = (0..500).filter(|_| {
            let sample: Vec<f64> = (0..1000).map(|_| draw()).collect();
            let mean = Estimate::mean(&sample, false);
            mean.low <= truth && truth <= mean.high
        });
        let held = held.count();
        assert!((455..=495).contains(&held), "held {held} of 500");
    }

    #[test]
    fn a_part_of_a_sample_tells_the_sum_of_its_kind() {
        let mut lot = Lot(11);
        // A fifth of the things are of the kind, of sizes from 0 to 100: 10 each over all.
        let held = (0..500).filter(|_| {
            let of_the_kind = (0..2000).filter(|_| lot.next() < 0.2).count();
            let drawn = (0..of_the_kind).map(|_| lot.next() * 100.0);
            let mean = drawn.collect::<Figures>().among(2000).mean(false);
            mean.low <= 10.0 && 10.0 <= mean.high
        });
        let held = held.count();
        assert!((455..=495).contains(&held), "held {held} of 500");
        let parts = [Estimate { value: 10.0, low: 7.0, high: 13.0 }; 4];
        let sum = Estimate::sum(parts.into_iter());
        assert_eq!((sum.value, sum.low, sum.high), (40.0, 34.0, 46.0));
    }

    #[test]
    fn counted_is_exact() {
        assert!(Estimate::mean(&[1.0, 2.0], true).is_exact());
        assert!(Estimate::share(0, 0).high > 0.99);
        assert!(Estimate::share(5, 5).value > 0.99);
    }
}
