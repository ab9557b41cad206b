//! One table of ratios, and the page around it.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::bystander::Felt;
use super::measure::{Runs, Sample};

/// What was asked of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// Nothing: the figure is there to compare.
    None,
    /// The other takes at least this many times as long as larder.
    Times(f64),
    /// Larder takes at most this many times as long as the other.
    AtMostTimes(f64),
    /// Seconds.
    Wall(f64),
    /// Seconds for each of so many entries.
    Each(f64, usize),
    /// Bytes of memory.
    Memory(f64),
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    what: String,
    against: String,
    figures: Figures,
    goal: Goal,
}

#[derive(Debug, Clone, PartialEq)]
enum Figures {
    /// Ours, the other's, and how many times ours the other's is.
    Pair(Sample, Sample, Sample),
    /// Ours alone.
    Alone(Sample),
    /// Ours and the other's in words, and what was asked with whether it was met.
    Told(String, String, Option<(String, bool)>),
    /// Why there are none.
    NotMeasured(String),
}

impl Row {
    /// Larder against another.
    pub(super) fn pair(what: &str, ours: &Runs, other: &Runs, goal: Goal) -> Self {
        let figures = Figures::Pair(ours.median(), other.median(), other.times_of(ours));
        Self { what: what.to_owned(), against: other.name.clone(), figures, goal }
    }

    /// Larder alone.
    pub(super) fn alone(what: &str, ours: &Runs, goal: Goal) -> Self {
        let figures = Figures::Alone(ours.median());
        Self { what: what.to_owned(), against: "–".to_owned(), figures, goal }
    }

    /// What a bystander felt beside larder, and beside another.
    pub(super) fn felt(
        what: &str,
        against: &str,
        (ours, theirs): (Felt, Felt),
        judged: Option<(String, bool)>,
    ) -> Self {
        let say = |felt: Felt| {
            let of = |seconds: f64| format!("{:.2}", seconds * 1e3);
            format!("{}, {}, {} ms", of(felt.p50), of(felt.p99), of(felt.max))
        };
        let figures = Figures::Told(say(ours), say(theirs), judged);
        Self { what: what.to_owned(), against: against.to_owned(), figures, goal: Goal::None }
    }

    /// A figure of larder's alone, in words.
    pub(super) fn told(what: &str, ours: &str, judged: Option<(String, bool)>) -> Self {
        let figures = Figures::Told(ours.to_owned(), "–".to_owned(), judged);
        Self { what: what.to_owned(), against: "–".to_owned(), figures, goal: Goal::None }
    }

    /// A figure that cannot be had here.
    pub(super) fn not_measured(what: &str, why: &str) -> Self {
        let figures = Figures::NotMeasured(why.to_owned());
        Self { what: what.to_owned(), against: "–".to_owned(), figures, goal: Goal::None }
    }

    fn line(&self) -> String {
        let (ours, theirs, times) = match &self.figures {
            Figures::Pair(ours, other, times) => (ours, cost(other), factors(times)),
            Figures::Alone(ours) => (ours, "–".to_owned(), "– | – | –".to_owned()),
            Figures::Told(ours, theirs, judged) => {
                let (goal, met) = match judged {
                    Some((goal, met)) => (goal.as_str(), if *met { "yes" } else { "**no**" }),
                    None => ("–", "–"),
                };
                let (what, against) = (&self.what, &self.against);
                return format!(
                    "| {what} | {against} | {ours} | {theirs} | – | – | – | {goal} | {met} |"
                );
            }
            Figures::NotMeasured(why) => {
                return format!("| {} | not measured: {why} | | | | | | | |", self.what);
            }
        };
        let (goal, met) = match self.judge() {
            Some((goal, met)) => (goal, if met { "yes" } else { "**no**" }),
            None => ("–".to_owned(), "–"),
        };
        let (what, against) = (&self.what, &self.against);
        format!("| {what} | {against} | {} | {theirs} | {times} | {goal} | {met} |", cost(ours))
    }

    /// What was asked, with the figure held against it, and whether it was met.
    fn judge(&self) -> Option<(String, bool)> {
        let (ours, times) = match &self.figures {
            Figures::Pair(ours, _, times) => (ours, times.wall),
            Figures::Alone(ours) => (ours, 0.0),
            Figures::Told(..) | Figures::NotMeasured(_) => return None,
        };
        Some(match self.goal {
            Goal::None => return None,
            Goal::Times(least) => (format!("≥ {least:.1}×"), times >= least),
            Goal::AtMostTimes(most) => {
                let taken = 1.0 / times.max(f64::EPSILON);
                (format!("{taken:.2}, ≤ {most:.1} of it"), taken <= most)
            }
            Goal::Wall(most) => (format!("≤ {}", duration(most)), ours.wall <= most),
            Goal::Each(most, entries) => {
                let each = ours.wall / entries as f64;
                let text = format!("{:.2}, ≤ {:.2} µs each", each * 1e6, most * 1e6);
                (text, each <= most)
            }
            Goal::Memory(most) => (format!("≤ {}", memory(most)), ours.memory <= most),
        })
    }
}

/// All rows as one Markdown table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | against | larder: time, CPU, memory | the other | time | CPU | memory | asked | met |\n\
         |---|---|---|---|--:|--:|--:|---|---|\n",
    );
    for row in rows {
        text.push_str(&row.line());
        text.push('\n');
    }
    text
}

/// The page: how it was measured, on what, and the table.
pub(super) fn document(rows: &[Row], machine: &[(String, String)]) -> String {
    let mut text = String::from(
        "# Performance\n\n\
         Written by `scripts/bench`, which measures larder and its peers in one run on the same\n\
         trees. The contestants take turns after a round that does not count. Times are medians;\n\
         a ratio is the median of the ratios of the rounds and says how many times larder's cost\n\
         the other's is, so above 1 larder is cheaper. Memory is the largest resident set. What a\n\
         bystander felt: percentiles are the median of the rounds, the longest wait is that of\n\
         all of them. Rows of one benchmark may have been measured again (`--renew`), all of them\n\
         in turns as well.\n\n\
         | | |\n|---|---|\n",
    );
    for (name, value) in machine {
        let _ = writeln!(text, "| {name} | {value} |"); // writing to a String cannot fail
    }
    text.push('\n');
    text.push_str(&table(rows));
    text.push_str(
        "\nThe trees are synthetic: build caches of 175-byte actions and outputs of up to 16 KB\n\
         named by their hash; module caches of 0444 files in 0555 folders with their downloads.\n\
         Copies that get removed are all made before the first of them goes.\n",
    );
    text
}

/// The page with these rows in place of what stands there for the same.
pub(super) fn renewed(page: &str, rows: &[Row]) -> Result<String> {
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    for row in rows {
        let begins = format!("| {} | {} |", row.what, row.against);
        let old = lines.iter_mut().find(|line| line.starts_with(&begins));
        let old = old.with_context(|| format!("no line begins with {begins:?}; run all anew"))?;
        *old = row.line();
    }
    Ok(lines.join("\n") + "\n")
}

fn cost(sample: &Sample) -> String {
    format!("{}, {}, {}", duration(sample.wall), duration(sample.cpu), memory(sample.memory))
}

fn factors(times: &Sample) -> String {
    format!("**{:.2}×** | {:.2}× | {:.2}×", times.wall, times.cpu, times.memory)
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.01 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.1} ms", s * 1e3),
    }
}

fn memory(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(name: &str, wall: f64, memory: f64) -> Runs {
        Runs { name: name.to_owned(), samples: vec![Sample { wall, cpu: wall, memory }; 3] }
    }

    #[test]
    fn goals_are_judged() {
        let ours = runs("larder", 0.1, 30e6);
        let du = runs("du", 0.2, 3e6);
        let met = |goal| Row::pair("scan", &ours, &du, goal).judge().unwrap().1;
        assert!(met(Goal::Times(1.9)) && !met(Goal::Times(2.1)));
        assert!(met(Goal::AtMostTimes(0.5)) && !met(Goal::AtMostTimes(0.4)));
        assert!(met(Goal::Wall(0.1)) && !met(Goal::Wall(0.05)));
        assert!(met(Goal::Memory(40e6)) && !met(Goal::Memory(20e6)));
        assert!(met(Goal::Each(1e-6, 200_000)) && !met(Goal::Each(1e-6, 50_000)));
    }

    #[test]
    fn a_row_takes_the_place_of_the_one_for_the_same() {
        let rows = |wall: f64| {
            let ours = runs("larder", wall, 30e6);
            [Row::pair("scan", &ours, &runs("du -s", 0.2, 3e6), Goal::Times(1.9))]
        };
        let page = document(&rows(0.1), &[]);
        assert_eq!(renewed(&page, &rows(0.05)).unwrap(), document(&rows(0.05), &[]));
        let other = [Row::alone("start", &runs("larder", 0.1, 3e6), Goal::None)];
        assert!(renewed(&page, &other).unwrap_err().to_string().contains("start"));
    }

    #[test]
    fn the_table_reads_well() {
        let ours = runs("larder", 0.1, 30e6);
        let rows = [
            Row::pair("scan", &ours, &runs("du -s", 0.2, 3e6), Goal::Times(1.9)),
            Row::alone("start", &ours, Goal::Wall(0.005)),
            Row::not_measured("cold scan", "needs root"),
        ];
        let table = table(&rows);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| scan | du -s | 100 ms, 100 ms, 30.0 MB | 200 ms, 200 ms, 3.0 MB \
                 | **2.00×** | 2.00× | 0.10× | ≥ 1.9× | yes |",
                "| start | – | 100 ms, 100 ms, 30.0 MB | – | – | – | – | ≤ 5.0 ms | **no** |",
                "| cold scan | not measured: needs root | | | | | | | |",
            ]
        );
        let columns = |line: &str| line.matches('|').count();
        assert!(table.lines().all(|line| columns(line) == 10), "{table}");
    }
}
