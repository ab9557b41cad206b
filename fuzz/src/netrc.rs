//! Credentials of a `.netrc`: what is read is words of the file, and reads the same when it is
//! written plainly.

use larder_modules::netrc::parse;

/// One input: as the file.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let logins = parse(text);
    let mut plain = String::new();
    for login in &logins {
        for word in [&login.machine, &login.user, &login.password] {
            assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            assert!(text.contains(word.as_str()));
        }
        let shown = format!("{login:?}");
        let told = [&login.machine, &login.user].iter().any(|word| word.contains(&login.password));
        assert!(told || login.password.len() < 16 || !shown.contains(&login.password));
        plain.push_str(&format!(
            "machine {}\nlogin {}\npassword {}\n",
            login.machine, login.user, login.password
        ));
    }
    assert!(parse(&plain) == logins, "{plain:?}");
}
