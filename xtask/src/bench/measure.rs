//! Running contestants in turns, and what the rounds say together.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

/// What one run cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// From start to end, seconds.
    pub(super) wall: f64,
    /// User and system time of all its threads, seconds.
    pub(super) cpu: f64,
    /// Largest resident set, bytes.
    pub(super) memory: f64,
}

/// Something that is run once a round.
pub(super) struct Contestant<'a> {
    pub(super) name: String,
    /// What must be true before a run, not counted; round 0 is the one that does not count.
    pub(super) before: Box<dyn FnMut(usize) -> Result<()> + 'a>,
    /// The command of a round.
    pub(super) command: Box<dyn FnMut(usize) -> Command + 'a>,
}

impl<'a> Contestant<'a> {
    pub(super) fn new(name: &str, command: impl FnMut(usize) -> Command + 'a) -> Self {
        Self { name: name.to_owned(), before: Box::new(|_| Ok(())), command: Box::new(command) }
    }

    pub(super) fn before(mut self, before: impl FnMut(usize) -> Result<()> + 'a) -> Self {
        self.before = Box::new(before);
        self
    }
}

/// One contestant's samples, a round each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Runs {
    pub(super) name: String,
    pub(super) samples: Vec<Sample>,
}

/// Runs all of them `rounds` times and once more before, in turns; every other round backwards.
pub(super) fn in_turns(rounds: usize, contestants: &mut [Contestant]) -> Result<Vec<Runs>> {
    let mut results: Vec<Runs> = contestants
        .iter()
        .map(|contestant| Runs { name: contestant.name.clone(), samples: Vec::new() })
        .collect();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let contestant = &mut contestants[index];
            (contestant.before)(round).with_context(|| format!("prepare {}", contestant.name))?;
            let sample = once(&mut (contestant.command)(round))
                .with_context(|| format!("measure {}", contestant.name))?;
            if round > 0 {
                results[index].samples.push(sample);
            }
        }
    }
    Ok(results)
}

/// Runs a command to its end, its answer thrown away.
pub(super) fn once(command: &mut Command) -> Result<Sample> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().context("start")?;
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_end(&mut said).context("read stderr")?; // until it ends
    }
    let ended = child.wait4().context("wait")?;
    let wall = started.elapsed();
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&said);
        bail!("{}: {}: {}", command.get_program().display(), ended.status, said.trim());
    }
    let usage = ended.rusage;
    let memory = usage.maxrss as f64; // bytes on every system, wait4 sees to it
    Ok(Sample { wall: wall.as_secs_f64(), cpu: seconds(usage.utime + usage.stime), memory })
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

impl Runs {
    /// The median of each cost by itself.
    pub(super) fn median(&self) -> Sample {
        let of = |cost: fn(&Sample) -> f64| median(self.samples.iter().map(cost).collect());
        Sample { wall: of(|s| s.wall), cpu: of(|s| s.cpu), memory: of(|s| s.memory) }
    }

    /// How many times our cost the other's is: the median of the ratios of the rounds.
    pub(super) fn times_of(&self, ours: &Runs) -> Sample {
        let of = |cost: fn(&Sample) -> f64| {
            let pairs = self.samples.iter().zip(&ours.samples);
            median(pairs.map(|(other, our)| cost(other) / cost(our).max(f64::EPSILON)).collect())
        };
        Sample { wall: of(|s| s.wall), cpu: of(|s| s.cpu), memory: of(|s| s.memory) }
    }
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn medians_and_paired_ratios() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        let result = |walls: &[f64]| Runs {
            name: String::new(),
            samples: walls.iter().map(|&wall| Sample { wall, cpu: 1.0, memory: 1.0 }).collect(),
        };
        // A slow machine in the second round slows both: the ratio does not see it.
        let times = result(&[2.0, 20.0, 2.0]).times_of(&result(&[1.0, 10.0, 1.0]));
        assert!((times.wall - 2.0).abs() < 1e-9);
    }

    #[test]
    fn turns_alternate_and_the_first_round_does_not_count() {
        let order = RefCell::new(String::new());
        let contestant = |name: &'static str| {
            Contestant::new(name, |_| Command::new("true")).before(|_| {
                order.borrow_mut().push_str(name);
                Ok(())
            })
        };
        let results = in_turns(3, &mut [contestant("a"), contestant("b")]).unwrap();
        assert_eq!(*order.borrow(), "abbaabba");
        assert!(results.iter().all(|result| result.samples.len() == 3));
        assert!(results[0].median().wall > 0.0 && results[0].median().memory > 0.0);
    }

    #[test]
    fn a_failing_command_is_an_error() {
        let mut contestants = [Contestant::new("no", |_| Command::new("false"))];
        let error = in_turns(1, &mut contestants).unwrap_err();
        assert!(format!("{error:#}").contains("measure no"), "{error:#}");
    }
}
