//! What can go wrong between us and a Redis server. Every error names the server.

use std::time::Duration;

/// Why a server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// No connection, or it broke.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// `host:port` or a socket's path.
        address: String,
        /// The system's words.
        why: String,
    },
    /// No connection that both sides trust.
    #[error("{address} cannot be reached over TLS: {why}")]
    Tls {
        /// The server.
        address: String,
        /// What is wrong with whose certificate.
        why: String,
    },
    /// No answer in time. What was asked may still happen.
    #[error("{address} did not answer {command} within {within:?}")]
    TimedOut {
        /// The server.
        address: String,
        /// The command's name.
        command: String,
        /// The limit.
        within: Duration,
    },
    /// User or password is wrong, or one is needed.
    #[error("{address} refuses the login: {answer}")]
    Login {
        /// The server.
        address: String,
        /// Its words; they hold no password.
        answer: String,
    },
    /// The user may not run this command, or not on these keys.
    #[error("{address} does not allow {command}; it takes: {grant}")]
    Denied {
        /// The server.
        address: String,
        /// The command's name, with its subcommand.
        command: String,
        /// The `ACL SETUSER` rule that would allow it.
        grant: String,
    },
    /// The server reads its data set from disk.
    #[error("{address} is still loading its data set")]
    Loading {
        /// The server.
        address: String,
    },
    /// A script runs there for too long, and nothing else is answered.
    #[error("{address} is busy with a script and answers nothing else")]
    Busy {
        /// The server.
        address: String,
        /// Its words, which name the command that ends the script.
        answer: String,
    },
    /// A Sentinel is about to make another server the master.
    #[error("{address} says that its master is down, or being replaced")]
    Failover {
        /// The Sentinel.
        address: String,
    },
    /// The server is a replica, or a cluster node without its slots.
    #[error("{address} takes no writes: {answer}")]
    ReadOnly {
        /// The server.
        address: String,
        /// Its words.
        answer: String,
    },
    /// The server refuses commands that need memory.
    #[error("{address} is out of memory: {answer}")]
    OutOfMemory {
        /// The server.
        address: String,
        /// Its words.
        answer: String,
    },
    /// The key's slot moved to another node of the cluster, or the cluster is down.
    #[error("{address} does not hold this slot now: {answer}")]
    Moved {
        /// The server.
        address: String,
        /// Its words, with the node to ask.
        answer: String,
    },
    /// The command does not exist there: an older server, or renamed away.
    #[error("{address} does not know {command}")]
    Unknown {
        /// The server.
        address: String,
        /// The command's name.
        command: String,
    },
    /// Any other error of the server.
    #[error("{address} answers {command} with: {answer}")]
    Server {
        /// The server.
        address: String,
        /// The command's name.
        command: String,
        /// Its words.
        answer: String,
    },
    /// What came back is not what Redis answers.
    #[error("{address} does not speak as Redis does, in its answer to {command}: {why}")]
    Garbage {
        /// Whoever listens there.
        address: String,
        /// The command's name.
        command: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection settings cannot work.
    #[error("{address}: {why}")]
    Setup {
        /// The server.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RedisError {
    /// Whether the connection is of no use any more.
    pub fn breaks_link(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Tls { .. }
                | Self::TimedOut { .. }
                | Self::Login { .. }
                | Self::Garbage { .. }
                | Self::Setup { .. }
        )
    }

    /// Whether the key is, or is about to be, on another node of the cluster.
    pub fn is_redirect(&self) -> bool {
        let words = ["MOVED ", "ASK ", "TRYAGAIN"];
        matches!(self, Self::Moved { answer, .. } if words.iter().any(|word| answer.starts_with(word)))
    }

    /// Where `MOVED` and `ASK` send the key, and whether the slot is still on its way there. The
    /// host is the one that answered where none is named.
    pub(crate) fn redirect(&self) -> Option<(bool, String, u16)> {
        let Self::Moved { address, answer } = self else { return None };
        let mut words = answer.split(' ');
        let ask = match words.next()? {
            "ASK" => true,
            "MOVED" => false,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        let own = address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = if host.is_empty() { own } else { host };
        Some((ask, host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
    }

    /// Whether the server lives and just does not allow or know the command.
    pub fn is_missing_right(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Unknown { .. })
    }

    /// Reads an error answer: its code (`NOPERM`) and the rest of its line.
    pub(crate) fn answered(address: &str, command: &str, code: &str, detail: &str) -> Self {
        let address = address.to_owned();
        let command = command.to_owned();
        let answer = format!("{code} {detail}").trim().to_owned();
        match code {
            "NOPERM" => Self::Denied { address, grant: grant(&command, detail), command },
            "NOAUTH" | "WRONGPASS" => Self::Login { address, answer },
            "LOADING" => Self::Loading { address },
            "BUSY" => Self::Busy { address, answer },
            "READONLY" => Self::ReadOnly { address, answer },
            "OOM" => Self::OutOfMemory { address, answer },
            "MOVED" | "ASK" | "CLUSTERDOWN" | "TRYAGAIN" => Self::Moved { address, answer },
            _ if detail.starts_with("unknown command")
                || detail.starts_with("unknown subcommand")
                || detail.starts_with("Unknown subcommand")
                // Redis 6: "ERR Unknown subcommand or wrong number of arguments for 'NO-TOUCH'"
                || answer.contains("nknown subcommand") =>
            {
                Self::Unknown { address, command }
            }
            _ => Self::Server { address, command, answer },
        }
    }
}

/// What a failed TLS handshake means, from the TLS library's words; `None` where it is none.
pub(crate) fn of_handshake(words: &str) -> Option<String> {
    let plain = [
        ("UnknownIssuer", "no authority that is trusted has signed its certificate"),
        ("NotValidForName", "its certificate is for another name"),
        ("Expired", "its certificate has expired"),
        ("NotValidYet", "its certificate is not valid yet"),
        ("Revoked", "its certificate was revoked"),
        ("CertificateRequired", "it asks for a certificate of ours"),
        ("UnknownCA", "it does not trust our certificate"),
        ("InvalidContentType", "it does not speak TLS there"),
        ("corrupt message", "it does not speak TLS there"),
    ];
    let known = plain.iter().find(|(word, _)| words.contains(word));
    let other = words.contains("peer certificate") || words.contains("fatal alert");
    match known {
        Some((_, why)) => Some((*why).to_owned()),
        None => other.then(|| words.to_owned()),
    }
}

/// The rule that `ACL SETUSER` needs (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>).
fn grant(command: &str, detail: &str) -> String {
    // 7: "… a key in the keys argument"; 8: "… a key".
    if detail.contains("access a key") || detail.contains("keys") {
        return "~PATTERN of the keys".to_owned();
    }
    format!("+{}", command.to_ascii_lowercase().replace(' ', "|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str, code: &str, detail: &str) -> RedisError {
        RedisError::answered("db:1", command, code, detail)
    }

    #[test]
    fn a_missing_right_comes_with_its_grant() {
        let detail = "User x has no permissions to run the 'config|get' command";
        let error = read("CONFIG GET", "NOPERM", detail);
        assert_eq!(error.to_string(), "db:1 does not allow CONFIG GET; it takes: +config|get");
        let error = read("DUMP", "NOPERM", "No permissions to access a key in the keys argument");
        assert!(error.to_string().ends_with("it takes: ~PATTERN of the keys"), "{error}");
    }

    #[test]
    fn a_key_is_sent_after_its_slot() {
        let to = |detail: &str, code: &str| read("GET", code, detail).redirect();
        assert_eq!(to("3999 10.0.0.7:6381", "MOVED"), Some((false, "10.0.0.7".to_owned(), 6381)));
        assert_eq!(to("3999 :6381", "ASK"), Some((true, "db".to_owned(), 6381)));
        assert_eq!(to("The cluster is down", "CLUSTERDOWN"), None);
        assert!(!read("GET", "CLUSTERDOWN", "The cluster is down").is_redirect());
    }

    #[test]
    fn an_old_server_does_not_know_a_new_command() {
        for (code, detail) in [
            ("ERR", "unknown command 'FUNCTION', with args beginning with: 'KILL'"),
            ("ERR", "unknown subcommand 'NO-TOUCH'. Try CLIENT HELP."),
            (
                "ERR",
                "Unknown subcommand or wrong number of arguments for 'NO-EVICT'. Try CLIENT HELP.",
            ),
        ] {
            assert!(read("X", code, detail).is_missing_right(), "{detail}");
        }
        assert!(!read("GET", "WRONGTYPE", "Operation against a key").is_missing_right());
    }
}
