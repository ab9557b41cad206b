//! The credentials of a `.netrc` file, read as the go command reads it
//! (`cmd/go/internal/auth/netrc.go`).

use std::fmt;

/// One machine's credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// A host, as the file names it.
    pub machine: String,
    /// Who.
    pub user: String,
    /// Never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, with a password", self.user, self.machine)
    }
}

/// Machines that have both a login and a password, in the order of the file. Words go in pairs
/// within a line; a macro lasts until an empty line; what follows `default` at the end of a line
/// does not count.
pub fn parse(text: &str) -> Vec<Login> {
    let mut found = Vec::new();
    let mut open = Login::default();
    let mut in_macro = false;
    for line in text.split('\n') {
        if in_macro {
            in_macro = !line.is_empty();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.chunks_exact(2) {
            let value = pair[1].to_owned();
            match pair[0] {
                "machine" => {
                    open = Login { machine: value, ..Login::default() };
                }
                "login" => open.user = value,
                "password" => open.password = value,
                "macdef" => in_macro = true,
                _ => {}
            }
            if !open.machine.is_empty() && !open.user.is_empty() && !open.password.is_empty() {
                found.push(std::mem::take(&mut open));
            }
        }
        if words.len() % 2 == 1 && words.last() == Some(&"default") {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_with_both_words_count() {
        let text = "\
machine half.example\npassword none\n\
\nmachine two.example\n  login me\n  password p1\n\
machine nopass.example\n login only\n\
machine line.example login you password p2\n\
machine macro.example macdef m\n login nobody\n password nothing\n\n\
machine after.example macdef m login they password p3\n login nobody\n\n\
default\nlogin anonymous\npassword x\nmachine late.example\nlogin l\npassword p4\n";
        let found: Vec<_> = parse(text)
            .into_iter()
            .map(|login| format!("{} {} {}", login.machine, login.user, login.password))
            .collect();
        let expected = ["two.example me p1", "line.example you p2", "after.example they p3"];
        assert_eq!(found, expected);
    }
}
