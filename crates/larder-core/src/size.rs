//! Sizes, each named for what it counts, and how they are read and shown.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self(0), Add::add)
            }
        }
    };
}

bytes! {
    /// Bytes that files say they hold (`st_size`); folders count as nothing.
    Logical
}
bytes! {
    /// Bytes that the disk gives back (`st_blocks` × 512), folders too; a hard link counts once.
    Allocated
}

/// Files and both of their sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files, folders not counted.
    pub files: u64,
    /// What the files say they hold.
    pub logical: Logical,
    /// What removing them gives back.
    pub allocated: Allocated,
}

impl Size {
    /// `files` files of these sizes in bytes.
    pub fn new(files: u64, logical: u64, allocated: u64) -> Self {
        Self { files, logical: Logical(logical), allocated: Allocated(allocated) }
    }

    /// Nothing there at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Add for Size {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_add(other.files),
            logical: self.logical + other.logical,
            allocated: self.allocated + other.allocated,
        }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Size {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_sub(other.files),
            logical: self.logical - other.logical,
            allocated: self.allocated - other.allocated,
        }
    }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// Which system of units sizes are shown in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// kB, MB, GB: powers of 1000.
    #[default]
    Decimal,
    /// KiB, MiB, GiB: powers of 1024.
    Binary,
}

impl Units {
    /// `bytes` with one decimal and a unit, as in `41.2 GB`.
    pub fn show(self, bytes: u64) -> Shown {
        Shown { bytes, units: self }
    }
}

/// A number of bytes on its way to a screen.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    bytes: u64,
    units: Units,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, names): (f64, [&str; 7]) = match self.units {
            Units::Decimal => (1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]),
            Units::Binary => (1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        };
        let mut value = self.bytes as f64;
        let mut unit = 0;
        // 999.95 and up would round to 1000.0, so it moves on to the next unit.
        while value >= base - 0.05 && unit + 1 < names.len() {
            value /= base;
            unit += 1;
        }
        if unit == 0 {
            f.pad(&format!("{} {}", self.bytes, names[0]))
        } else {
            f.pad(&format!("{value:.1} {}", names[unit]))
        }
    }
}

/// The text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write it as 500MB, 10GB or 10GiB")]
pub struct BadSize(String);

/// Reads `10GB` (powers of 1000), `10GiB` (powers of 1024), `10G` (as `10GB`) or a plain number
/// of bytes; a fraction and white space before the unit are allowed.
pub fn parse_size(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.to_owned());
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim().to_ascii_lowercase());
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "p" | "pb" => 1000_u64.pow(5),
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        "ti" | "tib" => 1 << 40,
        "pi" | "pib" => 1 << 50,
        _ => return Err(bad()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(bad);
    }
    let value = number.parse::<f64>().map_err(|_| bad())? * factor as f64;
    if !value.is_finite() || value >= u64::MAX as f64 {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_systems_are_read() {
        assert_eq!(parse_size("10GB"), Ok(10_000_000_000));
        assert_eq!(parse_size("10 GiB"), Ok(10 << 30));
        assert_eq!(parse_size("1.5k"), Ok(1500));
        assert_eq!(parse_size("0"), Ok(0));
        for bad in ["", "GB", "-1GB", "1.2.3MB", "10XB", "99999999PB", "1e3"] {
            assert!(parse_size(bad).is_err(), "{bad:?} was read as a size");
        }
    }

    #[test]
    fn a_size_never_shows_a_thousand_of_a_unit() {
        assert_eq!(Units::Decimal.show(999).to_string(), "999 B");
        assert_eq!(Units::Decimal.show(999_949).to_string(), "999.9 kB");
        assert_eq!(Units::Decimal.show(999_960).to_string(), "1.0 MB");
        assert_eq!(Units::Decimal.show(41_200_000_000).to_string(), "41.2 GB");
        assert_eq!(Units::Binary.show(10 << 30).to_string(), "10.0 GiB");
        assert_eq!(Units::Decimal.show(u64::MAX).to_string(), "18.4 EB");
    }
}
