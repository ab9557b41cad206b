//! Tables: aligned, never wrapped; where the screen is narrow, columns go from the right.

use anstyle::Style;

use crate::text::cut;

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names and sentences.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    header: &'static str,
    align: Align,
    /// It may be cut down to this width before a column is dropped for it.
    least: Option<usize>,
}

impl Column {
    /// A column that is shown whole or not at all.
    pub fn new(header: &'static str, align: Align) -> Self {
        Self { header, align, least: None }
    }

    /// A column whose cells may be cut down to `least` characters.
    pub fn flexible(header: &'static str, align: Align, least: usize) -> Self {
        Self { header, align, least: Some(least) }
    }
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// With a style; meaning must survive without it.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
    gap: usize,
}

impl Table {
    /// A table of these columns; without headers when all of them are empty.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new(), indent: 0, gap: 3 }
    }

    /// Moves it to the right.
    #[must_use]
    pub fn indent(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row; cells that are missing are empty.
    pub fn row(&mut self, mut cells: Vec<Cell>) {
        cells.resize(self.columns.len(), Cell::default());
        self.rows.push(cells);
    }

    /// Leaves the last column out.
    pub fn drop_last(&mut self) {
        self.columns.pop();
        self.rows.iter_mut().for_each(|row| row.truncate(self.columns.len()));
    }

    /// The table within `width` characters, each line ended.
    pub fn render(&self, width: usize, header: Style) -> String {
        let widths = self.fit(width);
        let mut text = String::new();
        if self.columns.iter().any(|column| !column.header.is_empty()) {
            let cells: Vec<Cell> =
                self.columns.iter().map(|c| Cell::styled(c.header, header)).collect();
            self.line(&cells, &widths, &mut text);
        }
        for row in &self.rows {
            self.line(row, &widths, &mut text);
        }
        text
    }

    /// How wide it is within `width`.
    pub fn width(&self, width: usize) -> usize {
        self.total(&self.fit(width))
    }

    fn total(&self, widths: &[usize]) -> usize {
        self.indent + widths.iter().sum::<usize>() + self.gap * widths.len().saturating_sub(1)
    }

    /// The widths of the columns that stay.
    fn fit(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len()).map(|i| self.natural(i)).collect();
        loop {
            let total = self.total(&widths);
            if total <= width {
                return widths;
            }
            let excess = total - width;
            let slack: usize = (0..widths.len()).map(|i| self.slack(i, widths[i])).sum();
            if slack >= excess {
                self.squeeze(&mut widths, excess);
                return widths;
            }
            if widths.len() <= 1 {
                return widths
                    .iter()
                    .map(|w| (*w).min(width.saturating_sub(self.indent)))
                    .collect();
            }
            widths.pop();
        }
    }

    fn squeeze(&self, widths: &mut [usize], mut excess: usize) {
        for index in (0..widths.len()).rev() {
            let take = self.slack(index, widths[index]).min(excess);
            widths[index] -= take;
            excess -= take;
        }
    }

    fn slack(&self, index: usize, width: usize) -> usize {
        self.columns[index].least.map_or(0, |least| width.saturating_sub(least))
    }

    fn natural(&self, index: usize) -> usize {
        let header = self.columns[index].header.chars().count();
        let cells = self.rows.iter().map(|row| row[index].text.chars().count());
        cells.fold(header, usize::max)
    }

    fn line(&self, cells: &[Cell], widths: &[usize], text: &mut String) {
        let start = text.len();
        text.push_str(&" ".repeat(self.indent));
        for (index, width) in widths.iter().enumerate() {
            if index > 0 {
                text.push_str(&" ".repeat(self.gap));
            }
            let cell = &cells[index];
            let shown = cut(&cell.text, *width);
            let padding = " ".repeat(width.saturating_sub(shown.chars().count()));
            let style = cell.style;
            let styled = if shown.is_empty() || style.is_plain() {
                shown.into_owned()
            } else {
                format!("{style}{shown}{style:#}")
            };
            match self.columns[index].align {
                Align::Left => text.extend([styled, padding]),
                Align::Right => text.extend([padding, styled]),
            }
        }
        text.truncate(start + text[start..].trim_end_matches(' ').len());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::flexible("NAME", Align::Left, 6),
            Column::new("SIZE", Align::Right),
            Column::new("AGE", Align::Right),
        ]);
        table.row(vec!["github.com/a/b".into(), "1.2 GB".into(), "3 d".into()]);
        table.row(vec!["x".into(), "7 B".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_blanks() {
        assert_eq!(
            table().render(80, Style::new()),
            "NAME               SIZE   AGE\n\
             github.com/a/b   1.2 GB   3 d\n\
             x                   7 B\n"
        );
    }

    #[test]
    fn names_are_cut_before_columns_go_and_then_the_right_one_goes_first() {
        let width_of = |width| {
            let text = table().render(width, Style::new());
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            text
        };
        assert!(width_of(24).starts_with("NAME          SIZE   AGE\ngithub.c…   1.2 GB   3 d"));
        assert!(width_of(16).starts_with("NAME        SIZE\ngithub…"));
        assert!(width_of(8).starts_with("NAME\ngithub.…"));
        for width in 1..40 {
            width_of(width);
        }
    }
}
