//! Counts as a person reads them.

/// `1,212`: a comma before each three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 toolchain`, `1,212 toolchains`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1640, 12_345_678].map(grouped),
            ["0", "999", "1,640", "12,345,678"].map(str::to_owned)
        );
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(4212, "entry", "entries"), "4,212 entries");
    }
}
